// Scope guards of a Renderer: they close scopes and captures when an exception is thrown too.
#pragma once
#include <memory>
#include <utility>

#include "chat/jinja/renderer.h"
#include "core/error.h"

namespace lorikeet::jinja {

class Renderer::ScopeGuard {
 public:
  ScopeGuard(Renderer& renderer, Scope* parent)
      : renderer_(renderer), outer_(renderer.scope_), scope_(renderer.OpenScope(parent)) {
    renderer_.scope_ = scope_.get();
  }
  ~ScopeGuard() {
    renderer_.scope_ = outer_;
    renderer_.CloseScope(std::move(scope_));
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Renderer& renderer_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

class Renderer::Capture {
 public:
  explicit Capture(Renderer& renderer)
      : renderer_(renderer), outer_(std::exchange(renderer.out_, &result_)) {}
  ~Capture() { renderer_.out_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  Rendered Take() { return std::move(result_); }

 private:
  Renderer& renderer_;
  Rendered* outer_;
  Rendered result_;
};

class Renderer::DepthGuard {
 public:
  explicit DepthGuard(Renderer& renderer) : renderer_(renderer) {
    if (++renderer_.depth_ > kMaxDepth) {
      --renderer_.depth_;
      Fail(ErrorCode::kUnsupported, "recursion deeper than {} levels", kMaxDepth);
    }
  }
  ~DepthGuard() { --renderer_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Renderer& renderer_;
};

}  // namespace lorikeet::jinja
