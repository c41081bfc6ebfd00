// A message of a conversation, as data files, templates and graders see it.
#pragma once
#include <string>

#include "core/json.h"

namespace lorikeet {

struct Message {
  std::string role;
  std::string content;
  // Other keys as they stood in the file (tool_calls, name, reasoning_content, ...), and `content`
  // itself where it was no string (a list of parts, null). null or an object.
  OrderedJson fields;
  bool has_content =
      true;  // false: the file has no `content` here; templates can tell that from ""
};

// {"role": ..., "content": ..., ...} as a file holds it. Throws Error when it is no object with a
// role.
Message MessageFromJson(const OrderedJson& json);

}  // namespace lorikeet
