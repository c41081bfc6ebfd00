// A `Message` is one message of a conversation, for data files, templates and graders.
#pragma once
#include <string>

#include "core/json.h"

namespace lorikeet {

struct Message {
  std::string role;
  std::string content;
  // Other keys as in the file (tool_calls, name, reasoning_content, ...), and `content` itself if
  // it was not a string (a list of parts, null). null or an object.
  OrderedJson fields;
  bool has_content = true;  // false: no `content` in the file, which templates distinguish from ""
};

// Reads {"role": ..., "content": ..., ...} as in a file. Throws Error unless it is an object with a
// role.
Message MessageFromJson(const OrderedJson& json);

}  // namespace lorikeet
