// `Routes` finds the handler of a request by its method and path.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "serve/context.h"

namespace lorikeet {

class Routes {
 public:
  // Throws ApiError or Error for a request that it does not answer.
  using Handler = std::function<void(const ServeRequest& request)>;

  // pattern: "/v1/models/*", where "*" is any one segment.
  void Add(const std::string& method, const std::string& pattern, Handler handler);
  // Calls the handler. Throws ApiError: 404 for a path that no route has, 405 for another method.
  void Handle(const ServeRequest& request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace lorikeet
