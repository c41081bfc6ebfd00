#include <gtest/gtest.h>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

Json Field(const char* key, Json rule) { return {{"key", key}, {"rule", std::move(rule)}}; }

Problem ProblemWith(std::vector<Json> fields) {
  Json list = Json::array();
  for (Json& field : fields) list.push_back(std::move(field));
  return ProblemOf("json", "{}", {{"rule", {{"kind", "object"}, {"fields", std::move(list)}}}});
}

TEST(JsonTask, ChecksKeysTypesAndValues) {
  const Problem problem =
      ProblemWith({Field("name", {{"kind", "text"}, {"value", "Ada"}}),
                   Field("age", {{"kind", "range"}, {"least", 3}, {"most", 9}})});
  ExpectVerdicts(problem,
                 {{R"({"name":"Ada","age":3})", kRight},
                  {"Sure:\n```json\n{\n  \"age\": 9,\n  \"name\": \"Ada\"\n}\n```\nDone.", kRight},
                  {R"(Answer: {"name": "Ada", "age": 7})", kRight},
                  {R"({"name": "\u0041da", "age": 7})", kRight},
                  {R"(<think>{"name":1}</think>{"name":"Ada","age":3}<|im_end|>)", kRight},
                  {R"({"name":"ada","age":3})", kFalse},
                  {R"({"name":"Ada","age":10})", kFalse},
                  {R"({"name":"Ada","age":3.5})", kFalse},
                  {R"({"name":"Ada","age":3.0})", kFalse},
                  {R"({"name":"Ada","age":"3"})", kFalse},
                  {R"({"name":"Ada","age":null})", kFalse},
                  {R"({"name":"Ada","age":99999999999999999999999})", kFalse},
                  {R"({"name":"Ada"})", kFalse},
                  {R"({"name":"Ada","age":3,"more":1})", kFalse},
                  {R"({"name":"Ada","age":3,"age":4})", kFalse},
                  {R"({"name":"Eve","name":"Ada","age":3})", kFalse},
                  {R"({"name":"Ada","age":3,})", kFalse},
                  {R"({'name':'Ada','age':3})", kFalse},
                  {R"({"name":"Ada","age":3)", kFalse},
                  {R"({"name":"Ada","age":3} or {"name":"Ada","age":4})", kFalse},
                  {R"([{"name":"Ada","age":3}])", kRight},  // brackets around it are format
                  {"```\nno\n```", kFalse},
                  {"{}", kFalse},
                  {"}{", kFalse},
                  {"", kFalse},
                  {Repeated("{\"a\":", 50'000) + "1" + Repeated("}", 50'000), kFalse},
                  {Repeated("{\"a\":", 500) + "1" + Repeated("}", 500), kFalse}});
}

TEST(JsonTask, ChecksEachKindOfRule) {
  const Problem problem = ProblemWith(
      {Field("b", {{"kind", "bool"}, {"value", true}}),
       Field("n", {{"kind", "number"}, {"value", 4}}),
       Field("c", {{"kind", "choice"}, {"values", {"x", "y"}}}),
       Field("l", {{"kind", "numbers"}, {"count", 2}, {"least", 1}, {"most", 5}}),
       Field("t", {{"kind", "texts"}, {"values", {"p", "q"}}}),
       Field("o", {{"kind", "object"},
                   {"fields", Json::array({Field("k", {{"kind", "text"}, {"value", "v"}})})}})});
  const std::string right = R"({"b":true,"n":4,"c":"y","l":[1,5],"t":["p","q"],"o":{"k":"v"}})";
  ExpectVerdicts(problem, {{right, kRight}});
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string changed = right;
    changed.replace(changed.find(from), from.size(), to);
    return changed;
  };
  ExpectVerdicts(problem, {{with("true", "1"), kFalse},
                           {with("true", "false"), kFalse},
                           {with("4", "4.0"), kRight},  // "the number 4"
                           {with("4", "4e0"), kRight},
                           {with("4", "4.0000000000000000001"), kFalse},  // 4 as a double
                           {with("4", "true"), kFalse},
                           {with("\"y\"", "\"z\""), kFalse},
                           {with("\"y\"", "[\"y\"]"), kFalse},
                           {with("[1,5]", "[1,5,1]"), kFalse},
                           {with("[1,5]", "[0,5]"), kFalse},
                           {with("[1,5]", "[5]"), kFalse},
                           {with("[1,5]", "{\"0\":1,\"1\":5}"), kFalse},
                           {with("[\"p\",\"q\"]", "[\"q\",\"p\"]"), kFalse},
                           {with("{\"k\":\"v\"}", "{\"k\":\"v\",\"m\":1}"), kFalse},
                           {with("{\"k\":\"v\"}", "{\"k\":\"v\",\"k\":\"v\"}"), kFalse},
                           {with("{\"k\":\"v\"}", "\"v\""), kFalse},
                           {with("{\"k\":\"v\"}", "{}"), kFalse}});
}

TEST(JsonTask, UnderflowIsNotZero) {
  const Problem problem = ProblemWith({Field("n", {{"kind", "number"}, {"value", 0}})});
  ExpectVerdicts(problem, {{R"({"n":0})", kRight},
                           {R"({"n":0.0})", kRight},
                           {R"({"n":1e-400})", kFalse},
                           {R"({"n":-1e-999})", kFalse}});
}

TEST(JsonTask, AsksForAsManyKeysAsTheDifficulty) {
  for (int difficulty = 1; difficulty <= 10; ++difficulty) {
    const Problem problem = GetTask("json").make(0, 0, difficulty);
    EXPECT_EQ(problem.data["rule"]["fields"].size(), static_cast<size_t>(difficulty));
  }
}

}  // namespace
}  // namespace lorikeet
