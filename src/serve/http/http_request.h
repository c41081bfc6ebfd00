// An `HttpRequest` is a whole request: its target decoded, its body in one piece.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;             // "GET"
  std::string target;             // as it was sent: "/v1/models/a%2Fb?after=x"
  std::vector<std::string> path;  // decoded after splitting: {"v1", "models", "a/b"}
  HttpFields query;               // decoded
  HttpFields headers;
  std::string body;  // whole; chunked bodies joined
  std::string peer;  // address of the client, for logs

  // The first header of this name, whatever its case; "" if there is none.
  std::string_view Header(std::string_view name) const;
  // The first value of a query parameter; `otherwise` if there is none.
  std::string Query(std::string_view name, std::string_view otherwise = {}) const;
};

// Equal but for the case of A-Z.
bool EqualIgnoringCase(std::string_view a, std::string_view b);

// Fills path and query from target: "/a%2Fb/c/?x=1+2" -> {"a/b", "c"}, {{"x", "1 2"}}. A trailing
// slash adds no segment; "//" is an empty one, "." and ".." are segments like others. Returns "" or
// what is wrong: an escape that is none, NUL, invalid UTF-8, a target that does not begin with "/".
// http://host/path, as proxies send it, is read as /path.
std::string DecodeTarget(HttpRequest* request);

}  // namespace lorikeet
