#include "serve/routes.h"

#include <utility>

#include "serve/api_error.h"

namespace lorikeet {
namespace {

bool Fits(const std::vector<std::string>& segments, const std::vector<std::string>& path) {
  if (segments.size() != path.size()) return false;
  for (size_t i = 0; i < path.size(); ++i) {
    if (segments[i] != "*" && segments[i] != path[i]) return false;
  }
  return true;
}

}  // namespace

void Routes::Add(const std::string& method, const std::string& pattern, Handler handler) {
  std::vector<std::string> segments;
  for (size_t begin = 1; begin < pattern.size();) {
    const size_t end = std::min(pattern.find('/', begin), pattern.size());
    segments.push_back(pattern.substr(begin, end - begin));
    begin = end + 1;
  }
  routes_.push_back({method, std::move(segments), std::move(handler)});
}

void Routes::Handle(const ServeRequest& request) const {
  const std::string method = request.http.method == "HEAD" ? "GET" : request.http.method;
  bool found = false;
  for (const Route& route : routes_) {
    if (!Fits(route.segments, request.http.path)) continue;
    found = true;
    if (route.method != method) continue;
    route.handler(request);
    return;
  }
  const std::string path = request.http.target.substr(0, request.http.target.find('?'));
  if (found) Refuse(405, "", "{} does not take {}", path, request.http.method);
  Refuse(404, "", "no {} {} here", request.http.method, path);
}

}  // namespace lorikeet
