#include "recipes/rendering.h"

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {
namespace {

TrainOn TrainOnOf(const RenderingOptions& rendering) {
  std::string train_on = rendering.train_on;
  if (rendering.assistant_only_loss) {
    const std::string same = *rendering.assistant_only_loss ? "assistant" : "all";
    if (train_on != "assistant" && train_on != same) {
      Fail(ErrorCode::kInvalidArgument,
           "train_on: {} and assistant_only_loss: {} contradict each other; give one of them",
           train_on, *rendering.assistant_only_loss);
    }
    train_on = same;
  }
  if (train_on == "last") return TrainOn::kLast;
  if (train_on == "generation") return TrainOn::kGeneration;
  return train_on == "all" ? TrainOn::kAll : TrainOn::kAssistant;
}

}  // namespace

OrderedJson TemplateVariablesOf(const RenderingOptions& rendering) {
  if (!rendering.chat_template_kwargs) return nullptr;
  OrderedJson variables;
  try {
    variables = ParseOrderedJson(*rendering.chat_template_kwargs, "--chat-template-kwargs");
  } catch (const Error& e) {
    throw Error(ErrorCode::kInvalidArgument, e.what());
  }
  if (!variables.is_object()) {
    Fail(ErrorCode::kInvalidArgument, "--chat-template-kwargs: give a JSON object");
  }
  return variables;
}

RenderConfig RenderConfigOf(const RenderingOptions& rendering) {
  RenderConfig config;
  config.train_on = TrainOnOf(rendering);
  config.max_length = rendering.max_length;
  config.overlong = rendering.overlong == "drop" ? Overlong::kDrop : Overlong::kTruncate;
  config.chat_template = rendering.chat_template.value_or("");
  config.template_variables = TemplateVariablesOf(rendering);
  config.date = rendering.date.value_or("");
  config.columns = ColumnMap(rendering.data_columns);
  return config;
}

}  // namespace lorikeet
