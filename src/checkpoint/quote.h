// Text from a file inside an error message, which must stay one short line of valid UTF-8.
#pragma once
#include <string>
#include <string_view>

namespace lorikeet {

// 'text', with everything but printable ASCII replaced by '?' and the middle of long text left out.
std::string Quote(std::string_view text);

}  // namespace lorikeet
