#include "core/json_fields.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

template <class Fn>
std::string ErrorOf(const Fn& fn) {
  try {
    fn();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(JsonFields, ReadsTypedValuesAndDefaults) {
  const Json json = {{"name", "x"},
                     {"on", true},
                     {"n", 3},
                     {"f", 1.5},
                     {"list", {1, 2}},
                     {"null", nullptr},
                     {"object", {{"size", 7}}}};
  const JsonFields fields(json, "config.json");
  EXPECT_EQ(fields.String("name"), "x");
  EXPECT_EQ(fields.String("null", "other"), "other");
  EXPECT_TRUE(fields.Bool("on", false));
  EXPECT_TRUE(fields.Bool("absent", true));
  EXPECT_EQ(fields.Int("n", 0, 3), 3);
  EXPECT_EQ(fields.Int("absent", 0, 3, -1), -1);
  EXPECT_EQ(fields.Number("n", 0, 3), 3);
  EXPECT_EQ(fields.Get<double>("f", 0), 1.5);
  EXPECT_EQ(fields.Need<float>("f"), 1.5F);
  EXPECT_EQ(fields.Need<std::vector<int64_t>>("list"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(fields.Object("object").Size("size"), 7);
  EXPECT_EQ(fields.Object("object").Size("other", 8), 8);
  EXPECT_FALSE(fields.Object("absent").Has("size"));
  EXPECT_FALSE(fields.Has("null"));
}

TEST(JsonFields, ErrorsNamePlaceKeyAndWhatIsExpected) {
  const Json json = {{"n", 3},           {"f", 1.5},          {"text", "x"},
                     {"list", {1, "x"}}, {"big", UINT64_MAX}, {"inner", {{"deep", {{"size", 0}}}}}};
  const JsonFields fields(json, "c");
  const auto is = [&](const auto& fn, const std::string& error) { EXPECT_EQ(ErrorOf(fn), error); };
  is([&] { fields.String("n"); }, "c: 'n' must be a string, got 3");
  is([&] { fields.String("none"); }, "c: 'none' must be a string, got nothing");
  is([&] { fields.Bool("text", true); }, "c: 'text' must be true or false, got string");
  is([&] { fields.Int("f", 0, 9); }, "c: 'f' must be an integer of 0 to 9, got 1.5");
  is([&] { fields.Int("n", 4, 9); }, "c: 'n' must be an integer of 4 to 9, got 3");
  is([&] { fields.Need<int64_t>("big"); }, "c: 'big' must be an integer, got 18446744073709551615");
  is([&] { fields.Number("n", 0, 0.5); }, "c: 'n' must be a number of 0 to 0.5, got 3");
  is([&] { fields.Strings("list"); }, "c: 'list' must be a list of strings, got array");
  is([&] { fields.Array("n"); }, "c: 'n' must be a list, got 3");
  is([&] { fields.Object("n"); }, "c: 'n' must be an object, got 3");
  is([&] { fields.Size("absent", 0); },
     "c: 'absent' would be 0 by default, and must be 1 to 16777216");
  is([&] { fields.Object("inner").Object("deep").Size("size"); },
     "c: inner.deep: 'size' must be an integer of 1 to 16777216, got 0");
  is([&] { JsonFields(json["list"], "c"); }, "c: expected an object, got array");
}

TEST(JsonFields, AKeyOfTheFileCannotBreakAMessage) {
  const Json json = {{"a\nb", 1}};
  const JsonFields fields(json, "c");
  EXPECT_EQ(ErrorOf([&] { fields.String("a\nb"); }), "c: 'a?b' must be a string, got 1");
}

}  // namespace
}  // namespace lorikeet
