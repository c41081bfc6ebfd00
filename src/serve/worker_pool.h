// A `WorkerPool` runs tasks on a few threads: what the event loop must not wait for.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lorikeet {

class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool() { Finish(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void Run(std::function<void()> task);  // must not throw; nothing happens after Finish
  void Finish();                         // waits for the tasks that were given

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lorikeet
