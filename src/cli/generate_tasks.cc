#include "cli/generate_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>

#include "core/error.h"
#include "core/file.h"
#include "data/remarks.h"
#include "data/row_fields.h"
#include "data/row_file.h"

namespace lorikeet {
namespace {

OrderedJson MessageJson(const Message& message) {
  OrderedJson json = {{"role", message.role}, {"content", message.content}};
  if (!message.fields.is_object()) return json;
  for (const auto& [key, value] : message.fields.items()) json[key] = value;
  return json;
}

std::string ReadPromptFile(const std::string& path) {
  if (path != "-") return ReadFile(path);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

class TaskMaker {
 public:
  TaskMaker(const PromptSource& source, const ChatSession& session,
            const std::optional<std::string>& system)
      : source_(source), session_(session), system_(system) {}

  // Text of the user: a user turn if the model has a chat template, else text to continue.
  GenerateTask FromText(const std::string& text) const {
    if (source_.raw || !session_.HasTemplate()) return Continued(text);
    return FromMessages({MakeMessage("user", text)});
  }
  // The conversation up to its last answer, which becomes the reference.
  GenerateTask FromMessages(std::vector<Message> messages, const OrderedJson& tools = nullptr,
                            const OrderedJson& variables = nullptr) const {
    GenerateTask task;
    while (messages.size() > 1 && messages.back().role == "assistant") {
      task.reference = messages.back().content;
      messages.pop_back();
    }
    if (system_ && (messages.empty() || messages.front().role != "system")) {
      messages.insert(messages.begin(), MakeMessage("system", *system_));
    }
    task.messages = OrderedJson::array();
    for (const Message& message : messages) task.messages.push_back(MessageJson(message));
    const std::string prompt = session_.Render(messages, tools, variables);
    task.remarks = session_.Check(messages, tools, variables, prompt);
    task.prompt = session_.Encode(prompt);
    return task;
  }
  GenerateTask FromRow(const Row& row) const {
    if (const auto prompt = PromptAlone(row.text, source_.columns)) {
      const std::string text = prompt->at("messages")[0].at("content").get<std::string>();
      if (source_.raw || !session_.HasTemplate() || prompt->size() == 1) return FromText(text);
      return FromRecord(ParseRecord({prompt->dump(), row.line}));
    }
    return FromRecord(ParseRecord(row, nullptr, source_.columns));
  }

 private:
  GenerateTask FromRecord(Record record) const {
    if (record.format == Format::kTokens) {
      GenerateTask task;
      task.text = session_.text().tokenizer.Decode(record.tokens);
      task.prompt = std::move(record.tokens);
      return task;
    }
    if (record.format == Format::kText) return Continued(record.text);
    if (record.messages.empty()) {
      GenerateTask task = Continued(record.prompt);
      task.reference = record.completion;
      return task;
    }
    GenerateTask task =
        FromMessages(std::move(record.messages), record.tools, record.template_variables);
    std::move(record.remarks.begin(), record.remarks.end(), std::back_inserter(task.remarks));
    return task;
  }
  GenerateTask Continued(const std::string& text) const {
    GenerateTask task;
    task.text = text;
    task.prompt = session_.Encode(text);
    return task;
  }
  // A row {"prompt": "..."} without a completion, which is not a training example, as a
  // conversation: the prompt as a user's message, and what else of the row goes to the chat
  // template.
  static std::optional<OrderedJson> PromptAlone(std::string_view text, const ColumnMap& columns) {
    const OrderedJson json =
        OrderedJson::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return std::nullopt;
    const auto find = [&](const char* name) { return json.find(columns.ColumnOf(name)); };
    const bool alone = columns.NamesAFormat() ? columns.Maps("prompt") : !json.contains("response");
    if (!alone || find("completion") != json.end() || find("messages") != json.end()) {
      return std::nullopt;
    }
    const auto it = find("prompt");
    if (it == json.end() || !it->is_string()) return std::nullopt;
    OrderedJson row = {{"messages", OrderedJson::array({{{"role", "user"}, {"content", *it}}})}};
    for (const char* name : {"system", "tools", "functions", "chat_template_kwargs", "documents"}) {
      const auto value = find(name);
      if (value != json.end() && !IsEmptyJson(*value)) row[name] = *value;
    }
    return row;
  }

  const PromptSource& source_;
  const ChatSession& session_;
  const std::optional<std::string>& system_;
};

std::vector<GenerateTask> ReadDataTasks(const std::string& path, const TaskMaker& maker) {
  const RowFile file(path);
  std::vector<GenerateTask> tasks;
  RowErrors errors;
  for (const Row& row : file.rows()) {
    if (errors.enough()) break;
    try {
      tasks.push_back(maker.FromRow(row));
      tasks.back().line = row.line;
    } catch (const Error& e) {
      errors.Add(row.line, e.what());
    }
  }
  errors.ThrowIfAny(path);
  return tasks;
}

std::vector<GenerateTask> MakeTasks(const PromptSource& source, const TaskMaker& maker) {
  std::vector<GenerateTask> tasks;
  if (source.data) return ReadDataTasks(*source.data, maker);
  if (source.messages) {
    const OrderedJson list = ParseOrderedJson(*source.messages, "--messages");
    if (!list.is_array() || list.empty()) {
      Fail(ErrorCode::kInvalidArgument,
           "--messages must be a JSON list of {{\"role\", \"content\"}} objects");
    }
    std::vector<Message> messages;
    for (const OrderedJson& message : list) messages.push_back(MessageFromJson(message));
    tasks.push_back(maker.FromMessages(std::move(messages)));
  } else {
    tasks.push_back(
        maker.FromText(source.prompt ? *source.prompt : ReadPromptFile(*source.prompt_file)));
  }
  return tasks;
}

// Sets max_tokens of every task, lowered with a note to the room that the context leaves. Throws
// Error if there is no room for one token.
void FitContext(std::vector<GenerateTask>& tasks, const ChatSession& session,
                const PromptSource& source, std::vector<std::string>* notes) {
  const int64_t most = session.MaxPositions();
  int64_t lowered = 0, shortest = most;
  for (GenerateTask& task : tasks) {
    const auto length = static_cast<int64_t>(task.prompt.size());
    const std::string place =
        source.data ? fmt::format("{}:{}: ", *source.data, task.line) : std::string();
    if (length == 0) Fail(ErrorCode::kInvalidArgument, "{}the prompt is empty", place);
    if (length >= most) {
      Fail(ErrorCode::kInvalidArgument,
           "{}the prompt takes {} tokens and the model's context holds {}; shorten the prompt",
           place, length, most);
    }
    task.max_tokens = std::min(session.sampling().max_tokens, most - length);
    if (task.max_tokens == session.sampling().max_tokens) continue;
    ++lowered;
    shortest = std::min(shortest, task.max_tokens);
  }
  if (lowered == 0) return;
  notes->push_back(fmt::format(
      "max_tokens is lowered to as little as {} for {} of {} prompts: the context holds {} tokens",
      shortest, lowered, tasks.size(), most));
}

void AddRemarks(const std::vector<GenerateTask>& tasks, std::vector<std::string>* notes) {
  RemarkCounter counter;
  for (const GenerateTask& task : tasks) {
    const std::string place =
        task.line > 0 ? fmt::format("line {}", task.line) : std::string("the prompt");
    counter.Add(place, task.remarks);
  }
  for (std::string& note : counter.Notes()) notes->push_back(std::move(note));
}

}  // namespace

void CheckSource(const PromptSource& source, const std::optional<std::string>& system) {
  const int given = (source.prompt ? 1 : 0) + (source.prompt_file ? 1 : 0) +
                    (source.messages ? 1 : 0) + (source.data ? 1 : 0);
  if (given != 1) {
    Fail(ErrorCode::kInvalidArgument, "give {} of --prompt, --prompt-file, --messages and --data",
         given == 0 ? "one" : "only one");
  }
  if (source.raw && (source.messages || system)) {
    Fail(ErrorCode::kInvalidArgument,
         "--raw continues text as it is, without {}; leave one of the two out",
         system ? "--system" : "--messages");
  }
}

std::vector<GenerateTask> ReadTasks(const PromptSource& source, const ChatSession& session,
                                    const std::optional<std::string>& system,
                                    std::vector<std::string>* notes) {
  if (!source.raw && !session.HasTemplate() && (source.prompt || source.prompt_file)) {
    if (system) session.Render({});  // throws, because --system needs a chat template
    notes->push_back("the model has no chat template; the prompt is continued as text");
  }
  std::vector<GenerateTask> tasks = MakeTasks(source, TaskMaker(source, session, system));
  AddRemarks(tasks, notes);
  FitContext(tasks, session, source, notes);
  return tasks;
}

OrderedJson AnswerRow(const GenerateTask& task, const std::string& answer, const char* reason,
                      const Generation& generation, bool with_logprobs) {
  OrderedJson row = OrderedJson::object();
  if (task.messages.is_null()) {
    row["prompt"] = task.text;
    row["completion"] = answer;
  } else {
    row["messages"] = task.messages;
    row["messages"].push_back({{"role", "assistant"}, {"content", answer}});
  }
  if (task.reference) row["reference"] = *task.reference;
  if (task.line > 0) row["line"] = task.line;
  row["finish_reason"] = reason;
  row["prompt_tokens"] = task.prompt.size();
  row["completion_tokens"] = generation.tokens.size();
  if (with_logprobs) {
    row["completion_ids"] = generation.tokens;
    row["logprobs"] = generation.logprobs;
    row["sampled_logprobs"] = generation.sampled_logprobs;
  }
  return row;
}

}  // namespace lorikeet
