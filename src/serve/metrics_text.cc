#include "serve/metrics_text.h"

#include <fmt/format.h>

namespace lorikeet {
namespace {

class Text {
 public:
  template <class T>
  void Add(const char* name, const char* type, const char* help, T value) {
    text_ += fmt::format("# HELP lorikeet_{0} {1}\n# TYPE lorikeet_{0} {2}\nlorikeet_{0} {3}\n",
                         name, help, type, value);
  }
  void AddByStatus(const std::map<int, int64_t>& counts) {
    text_ +=
        "# HELP lorikeet_http_answers_total Answers by HTTP status.\n"
        "# TYPE lorikeet_http_answers_total counter\n";
    for (const auto& [status, count] : counts) {
      text_ += fmt::format("lorikeet_http_answers_total{{status=\"{}\"}} {}\n", status, count);
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void AddSampling(const SamplingStats& s, Text* text) {
  text->Add("sequences_running", "gauge", "Sequences that are sampled now.", s.running);
  text->Add("sequences_waiting", "gauge", "Sequences in the queue.", s.waiting);
  text->Add("sequences_finished_total", "counter", "Sequences that ended by themselves.",
            s.finished);
  text->Add("sequences_cancelled_total", "counter",
            "Sequences that ended at a stop string, or because their client left.", s.cancelled);
  text->Add("sequences_failed_total", "counter", "Sequences that ended with an error.", s.failed);
  text->Add("prompt_tokens_total", "counter", "Prompt tokens computed.", s.generator.prompt_tokens);
  text->Add("prompt_tokens_cached_total", "counter", "Prompt tokens shared instead of computed.",
            s.generator.cached_tokens);
  text->Add("generated_tokens_total", "counter", "Tokens sampled.", s.generator.generated_tokens);
  text->Add("preemptions_total", "counter", "Sequences that gave back their pages for a time.",
            s.generator.preemptions);
  text->Add("kv_pages", "gauge", "Pages of keys and values, of 64 tokens.", s.pages);
  text->Add("kv_pages_in_use", "gauge", "Such pages that running sequences hold.", s.pages_in_use);
  text->Add("passes_total", "counter", "Passes of the sampler.", s.passes);
  text->Add("pass_seconds_total", "counter", "Seconds in passes.", s.pass_seconds);
  text->Add("busy_seconds_total", "counter",
            "Seconds in which there was something to sample, with those in which training had its "
            "turn.",
            s.busy_seconds);
}

}  // namespace

std::string MetricsText(const ServerFigures& figures) {
  Text text;
  AddSampling(figures.sampling, &text);
  text.Add("sampling_turn_seconds_total", "counter", "Seconds of turns of sampling.",
           figures.turns.sampling);
  text.Add("training_turn_seconds_total", "counter", "Seconds of turns of training.",
           figures.turns.training);
  text.Add("training_handovers_total", "counter",
           "Times that training gave its turn to sampling within a pass.", figures.turns.handovers);
  text.Add("longest_wait_for_turn_seconds", "gauge",
           "Longest time that sampling waited for its turn.", figures.turns.longest_wait);
  text.Add("adapters", "gauge", "Adapters that are served.", figures.adapters);
  text.Add("adapter_bytes", "gauge", "Memory of their weights.", figures.adapter_bytes);
  text.Add("http_connections", "gauge", "Open connections.", figures.connections);
  text.AddByStatus(figures.answers_by_status);
  return text.text();
}

}  // namespace lorikeet
