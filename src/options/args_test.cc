#include "options/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "core/suggest.h"
#include "options/args_help.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct CommonOptions {
  bool quiet;
  int threads;
  template <class V>
  void ForEach(V& v) {
    v(quiet, "quiet", false, "Say less.", {.group = "Output", .aliases = {"q"}});
    v(threads, "threads", 0, "Threads.", {.min = 0});
  }
};

struct TestOptions {
  CommonOptions common;
  std::string model, method, output_dir;
  int lora_r, batch_size;
  int64_t seed;
  double warmup_ratio;
  bool packing, resume;
  std::optional<double> learning_rate;
  std::optional<int> max_steps;
  std::optional<std::string> chat_template;
  std::vector<std::string> target_modules, data, stop;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "", "Folder, GGUF file or cached name.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(data, "data", {}, "Files.", {.positional = true, .metavar = "FILE"});
    v(method, "method", "lora", "What is trained.",
      {.group = "Adapter", .choices = {"lora", "full"}});
    v(lora_r, "lora_r", 32, "Rank.",
      {.aliases = {"r", "lora_rank", "rank"}, .min = 1, .max = 4096});
    v(target_modules, "target_modules", {"all-linear"}, "Where adapters sit.",
      {.aliases = {"lora_target_modules"}});
    v(learning_rate, "learning_rate", std::nullopt, "Step size; computed if not given.",
      {.group = "Training", .aliases = {"lr"}, .above = 0});
    v(warmup_ratio, "warmup_ratio", 0.1, "Share of steps.", {.min = 0, .max = 1});
    v(max_steps, "max_steps", std::nullopt, "Stop after so many steps.",
      {.aliases = {"iters"}, .min = 1, .none = {"-1"}});
    v(batch_size, "batch_size", 16, "Sequences per step.",
      {.aliases = {"per_device_train_batch_size"},
       .foreign = {{"gradient_accumulation_steps",
                    "batch_size counts the sequences of a whole step",
                    {"1"}},
                   {"packed", "everything is packed", {"true", "none"}}}});
    v(seed, "seed", int64_t{1} << 40, "Random seed.");
    v(packing, "packing", true, "Pack.");
    v(resume, "resume", false, "Go on.");
    v(chat_template, "chat_template", std::nullopt, "Template.");
    v(stop, "stop", {}, "Texts.", {.whole = true});
    v(output_dir, "output_dir", "out/new run", "Results.", {.aliases = {"o"}, .metavar = "DIR"});
    common.ForEach(v);
  }
};

TestOptions FromFlags(std::vector<const char*> flags) {
  TestOptions options;
  flags.insert(flags.begin(), "test");
  ParseCommandLine({.name = "test"}, static_cast<int>(flags.size()), flags.data(), options);
  return options;
}

TestOptions FromYaml(const std::string& yaml) {
  TestOptions options;
  SetDefaults(options);
  ApplyYaml(OptionTable(options), yaml, "run.yaml");
  return options;
}

// The error's text, whose code must be that of a usage error.
template <class Fn>
std::string ErrorOf(const Fn& fn) {
  try {
    fn();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
  return "no error";
}
std::string FlagError(const std::vector<const char*>& flags) {
  return ErrorOf([&] { FromFlags(flags); });
}
std::string YamlError(const std::string& yaml) {
  return ErrorOf([&] { FromYaml(yaml); });
}

std::string WriteTemp(const std::string& name, const std::string& text) {
  std::string path = ::testing::TempDir() + "/args_test_" + name;
  std::ofstream(path) << text;
  return path;
}

TEST(Args, DefaultsComeFromTheDeclaration) {
  const TestOptions options = FromFlags({"--model", "m"});
  EXPECT_EQ(options.lora_r, 32);
  EXPECT_EQ(options.seed, int64_t{1} << 40);
  EXPECT_EQ(options.warmup_ratio, 0.1);
  EXPECT_TRUE(options.packing);
  EXPECT_FALSE(options.resume);
  EXPECT_EQ(options.learning_rate, std::nullopt);
  EXPECT_THAT(options.target_modules, ElementsAre("all-linear"));
  EXPECT_THAT(options.data, IsEmpty());
  EXPECT_EQ(options.common.threads, 0);
}

TEST(Args, FlagsWinOverSetOverFileOverDefaults) {
  const std::string path =
      WriteTemp("layers.yaml", "model: from_file\nlora_r: 4\nbatch_size: 4\nmax_steps: 7\n");
  const TestOptions options = FromFlags(
      {"--lora-r", "64", "--config", path.c_str(), "--set", "batch_size=8", "--set", "r=16"});
  EXPECT_EQ(options.model, "from_file");
  EXPECT_EQ(options.max_steps, 7);
  EXPECT_EQ(options.batch_size, 8);
  EXPECT_EQ(options.lora_r, 64);
  EXPECT_EQ(options.seed, int64_t{1} << 40);
}

TEST(Args, EverySpellingOfAFlag) {
  for (const char* flag :
       {"--lora-r", "--lora_r", "--r", "-r", "--rank", "--lora_rank", "--lora-rank"}) {
    EXPECT_EQ(FromFlags({"-m", "x", flag, "5"}).lora_r, 5) << flag;
  }
  EXPECT_EQ(FromFlags({"-m", "x", "--per-device-train-batch-size=3"}).batch_size, 3);
  EXPECT_EQ(FromFlags({"-m", "x", "--lr=1e-5"}).learning_rate, 1e-5);
  EXPECT_EQ(FromFlags({"-m", "x", "-r8", "-o", "dir"}).output_dir, "dir");
  EXPECT_EQ(FromFlags({"-m", "x", "--rank", "5", "--lora-r", "6"}).lora_r, 6)
      << "the last one counts";
  EXPECT_EQ(FromFlags({"-m", "x", "--chat-template", ""}).chat_template, "");
  EXPECT_EQ(FromFlags({"-m", "x", "--max-steps", "9", "--max-steps", "null"}).max_steps,
            std::nullopt);
}

TEST(Args, BoolsAsFlagsWordsAndNegations) {
  EXPECT_TRUE(FromFlags({"-m", "x", "--resume"}).resume);
  EXPECT_TRUE(FromFlags({"-m", "x", "--resume", "True"}).resume);
  EXPECT_TRUE(FromFlags({"-m", "x", "--resume=true"}).resume);
  EXPECT_FALSE(FromFlags({"-m", "x", "--packing", "False"}).packing);
  EXPECT_FALSE(FromFlags({"-m", "x", "--packing=false"}).packing);
  EXPECT_FALSE(FromFlags({"-m", "x", "--no-packing"}).packing);
  EXPECT_TRUE(FromFlags({"-m", "x", "-q"}).common.quiet);
  EXPECT_THAT(FlagError({"-m", "x", "--resume=yes"}), HasSubstr("write true"));
  EXPECT_THAT(FlagError({"-m", "x", "--resume=banana"}), HasSubstr("neither true nor false"));
  EXPECT_THAT(FromFlags({"x", "--resume", "file.jsonl"}).data, ElementsAre("file.jsonl"));
}

TEST(Args, ListsByCommaByRepetitionAndInBrackets) {
  EXPECT_THAT(FromFlags({"-m", "x", "--target-modules", "q_proj, v_proj"}).target_modules,
              ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(
      FromFlags({"-m", "x", "--target-modules", "a{1,2}", "--target_modules", "b"}).target_modules,
      ElementsAre("a{1,2}", "b"));
  EXPECT_THAT(FromFlags({"-m", "x", "--set", "target_modules=['a{1,2}', b]"}).target_modules,
              ElementsAre("a{1,2}", "b"));
  EXPECT_THAT(FromFlags({"-m", "x", "--target-modules", "['a{1,2}', b]"}).target_modules,
              ElementsAre("a{1,2}", "b"));
  EXPECT_THAT(FlagError({"-m", "x", "--target-modules", "a,,b"}), HasSubstr("empty item"));
}

TEST(Args, TextsOfAWholeListAreNotSplit) {
  EXPECT_THAT(FromFlags({"x", "--stop", "one, two"}).stop, ElementsAre("one, two"));
  EXPECT_THAT(FromFlags({"x", "--stop", "[INST]"}).stop, ElementsAre("[INST]"));
  EXPECT_THAT(FromFlags({"x", "--stop", "a,b", "--stop", ","}).stop, ElementsAre("a,b", ","));
  EXPECT_THAT(FromFlags({"x", "--stop", ""}).stop, ElementsAre());
  EXPECT_THAT(FromFlags({"x", "--set", "stop=[a, 'b,c']"}).stop, ElementsAre("a", "b,c"));
  EXPECT_THAT(FromYaml("stop: one, two\n").stop, ElementsAre("one, two"));
  EXPECT_THAT(FromYaml("stop: ['one, two', three]\n").stop, ElementsAre("one, two", "three"));
}

TEST(Args, Positionals) {
  const TestOptions options = FromFlags({"model.gguf", "--lora-r", "4", "a.jsonl", "b.jsonl"});
  EXPECT_EQ(options.model, "model.gguf");
  EXPECT_THAT(options.data, ElementsAre("a.jsonl", "b.jsonl"));
  EXPECT_THAT(FromFlags({"x", "--", "--odd"}).data, ElementsAre("--odd"));
}

TEST(Args, CommandLineErrorsNameTheNearest) {
  EXPECT_THAT(FlagError({"-m", "x", "--learning-rte", "1"}),
              HasSubstr("did you mean 'learning_rate'?"));
  EXPECT_THAT(FlagError({"-m", "x", "--learning-rte=1"}),
              HasSubstr("did you mean 'learning_rate'?"));
  EXPECT_THAT(FlagError({"-m", "x", "--zzzzzz"}),
              HasSubstr("--zzzzzz: unknown option 'zzzzzz'; see --help"));
  EXPECT_THAT(FlagError({"-m", "x", "--set", "lora_rnk=1"}),
              HasSubstr("did you mean 'lora_rank'?"));
  EXPECT_THAT(FlagError({"-m", "x", "--set", "novalue"}), HasSubstr("key=value"));
  EXPECT_THAT(FlagError({"-m", "x", "--method", "ful"}),
              HasSubstr("--method: 'ful' is not one of lora, full; did you"));
  EXPECT_THAT(FlagError({"-m", "x", "--lora-r", "0"}), HasSubstr("at least 1"));
  EXPECT_THAT(FlagError({"-m", "x", "--lora-r", "1e9"}), HasSubstr("at most 4096"));
  EXPECT_THAT(FlagError({"-m", "x", "--lora-r", "99999999999"}), HasSubstr("too large"));
  EXPECT_THAT(FlagError({"-m", "x", "--lora-r", "two"}),
              HasSubstr("--lora-r: 'two' is not a whole number"));
  EXPECT_THAT(FlagError({"-m", "x", "--lr", "0"}), HasSubstr("above 0"));
  EXPECT_THAT(FlagError({"-m", "x", "--lr", "nan"}), HasSubstr("finite"));
  EXPECT_THAT(FlagError({"-m", "x", "--lr", "1e999"}), HasSubstr("range"));
  EXPECT_THAT(FlagError({"--lora-r", "4"}), HasSubstr("--model PATH is missing"));
  EXPECT_THAT(FlagError({"--model", "--lora-r", "4"}), HasSubstr("needs a value"));
  EXPECT_THAT(FlagError({"-m", "x", "--lora-r"}), HasSubstr("--lora-r"));
  EXPECT_THAT(FlagError({"-m", "x", "--gradient-accumulation-steps", "4"}),
              HasSubstr("sequences of a whole step"));
  EXPECT_THAT(FlagError({"-m", "x", "--config", "/nowhere/run.yaml"}),
              HasSubstr("/nowhere/run.yaml"));
  EXPECT_THAT(FlagError({"-m", "x", "--config", "/tmp"}), HasSubstr("--config /tmp"));
}

TEST(Args, NumbersInYamlWhateverTheirLook) {
  EXPECT_EQ(FromYaml("learning_rate: 1e-5").learning_rate, 1e-5);
  EXPECT_EQ(FromYaml("learning_rate: 1E-5").learning_rate, 1e-5);
  EXPECT_EQ(FromYaml("learning_rate: '1e-5'").learning_rate, 1e-5);
  EXPECT_EQ(FromYaml("learning_rate: .5").learning_rate, 0.5);
  EXPECT_EQ(FromYaml("learning_rate: +2").learning_rate, 2.0);
  EXPECT_EQ(FromYaml("max_steps: 1e3").max_steps, 1000);
  EXPECT_EQ(FromYaml("max_steps: null").max_steps, std::nullopt);
  EXPECT_THAT(YamlError("max_steps: 010"), HasSubstr("octal"));
  EXPECT_THAT(YamlError("max_steps: 1.5"), HasSubstr("whole number"));
  EXPECT_THAT(YamlError("warmup_ratio: 1_0"), HasSubstr("not a number"));
  EXPECT_THAT(YamlError("warmup_ratio: +-1"), HasSubstr("not a number"));
}

TEST(Args, YamlListsStringsAndComments) {
  const TestOptions options = FromYaml(
      "# a run\nmodel: 123\ntarget_modules:\n  - q_proj\n  - v_proj\ndata: [a.jsonl, 'b "
      "c.jsonl']\nmethod: full # all\n");
  EXPECT_EQ(options.model, "123");
  EXPECT_THAT(options.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(options.data, ElementsAre("a.jsonl", "b c.jsonl"));
  EXPECT_EQ(options.method, "full");
  EXPECT_EQ(FromYaml("").lora_r, 32);
  EXPECT_EQ(FromYaml("# nothing\n").lora_r, 32);
  EXPECT_THAT(FromYaml("target_modules: all-linear").target_modules, ElementsAre("all-linear"));
}

TEST(Args, YamlErrorsSayFileLineAndAdvice) {
  EXPECT_THAT(YamlError("model: x\nlora_rnk: 3\n"),
              HasSubstr("run.yaml:2: unknown option 'lora_rnk'; did you mean"));
  EXPECT_THAT(YamlError("lora_r: 3\nmodel: x\nlora_r: 4\n"),
              HasSubstr("run.yaml:3: 'lora_r' is set a second time"));
  EXPECT_THAT(YamlError("r: 3\nlora_rank: 4\n"), HasSubstr("first as 'r' in line 1"));
  EXPECT_THAT(YamlError("packing: yes"),
              HasSubstr("run.yaml:1: packing: 'yes' means different things"));
  for (const char* word : {"no", "on", "off", "No", "ON", "y", "1"}) {
    EXPECT_THAT(YamlError(std::string("packing: ") + word), HasSubstr("YAML readers; write"))
        << word;
  }
  EXPECT_THAT(YamlError("lora_r:\n"), HasSubstr("has no value"));
  EXPECT_THAT(YamlError("lora_r: [1, 2]"), HasSubstr("takes one value, not a list"));
  EXPECT_THAT(YamlError("lora_r: {a: 1}"), HasSubstr("takes one value, not a map"));
  EXPECT_THAT(YamlError("data: [[a]]"), HasSubstr("plain values"));
  EXPECT_THAT(YamlError("- a\n- b\n"), HasSubstr("one YAML map"));
  EXPECT_THAT(YamlError("just words"), HasSubstr("one YAML map"));
  EXPECT_THAT(YamlError("model: x\n---\nmodel: y\n"), HasSubstr("one YAML map"));
  EXPECT_THAT(YamlError("model: [a\nb: }"), HasSubstr("not valid YAML"));
  EXPECT_THAT(YamlError("model: x\n!a,b\n"), HasSubstr("run.yaml:"));
  EXPECT_THAT(YamlError("!a,b"), HasSubstr("one YAML map"));  // once made the parser loop for ever
  EXPECT_THAT(YamlError("[a]: 1"), HasSubstr("plain word"));
  EXPECT_THAT(YamlError("batch_size: 2\ngradient_accumulation_steps: 8"), HasSubstr("run.yaml:2"));
  EXPECT_THAT(YamlError("data: " + std::string(100000, '[')), HasSubstr("not valid YAML"));
}

TEST(Args, NeutralValuesOfOtherTrainersChangeNothing) {
  for (const char* line : {"gradient_accumulation_steps: 1", "gradient_accumulation_steps: 1.0",
                           "gradient_accumulation_steps: null",
                           "gradient_accumulation_steps:", "packed: True", "packed: 'none'"}) {
    EXPECT_EQ(FromYaml("lora_r: 3\n" + std::string(line)).lora_r, 3) << line;
  }
  EXPECT_THAT(YamlError("packed: []"), HasSubstr("not used here: everything is packed"));
  EXPECT_THAT(YamlError("gradient_accumulation_steps: 2"), HasSubstr("run.yaml:1"));
  EXPECT_THAT(YamlError("gradient_accumulation_steps: [1]"), HasSubstr("sequences of a whole"));
  EXPECT_THAT(YamlError("packed: 1"), HasSubstr("everything is packed"));
  const TestOptions options = FromFlags({"--gradient-accumulation-steps", "1", "m", "--packed=true",
                                         "--set", "packed=none", "a.jsonl"});
  EXPECT_EQ(options.model, "m");
  EXPECT_THAT(options.data, ElementsAre("a.jsonl"));
  EXPECT_THAT(FlagError({"-m", "x", "--packed", "2"}), HasSubstr("everything is packed"));
  EXPECT_THAT(FlagError({"-m", "x", "--packed"}), HasSubstr("everything is packed"));
  EXPECT_THAT(FlagError({"-m", "x", "--set", "packed=2"}), HasSubstr("everything is packed"));
  EXPECT_THAT(FromFlags({"x", "--", "--packed", "true"}).data, ElementsAre("--packed", "true"));
}

TEST(Args, OtherWordsForNoValue) {
  EXPECT_EQ(FromYaml("max_steps: -1").max_steps, std::nullopt);
  EXPECT_EQ(FromFlags({"-m", "x", "--max-steps=-1"}).max_steps, std::nullopt);
  EXPECT_THAT(YamlError("max_steps: -2"), HasSubstr("at least 1"));
}

TEST(Args, ATildeIsTheHomeFolderInPathsOnly) {
  const std::string home = std::getenv("HOME");
  setenv("HOME", "/home/parrot", 1);
  EXPECT_EQ(FromYaml("output_dir: ~/run").output_dir, "/home/parrot/run");
  EXPECT_EQ(FromYaml("output_dir: '~'").output_dir, "/home/parrot");
  EXPECT_EQ(FromFlags({"-m", "~/m", "--output-dir=~/x/~"}).output_dir, "/home/parrot/x/~");
  EXPECT_EQ(FromFlags({"-m", "~/m"}).model, "/home/parrot/m");
  EXPECT_THAT(FromYaml("data: [~/a, b/~, ./~c]").data,
              ElementsAre("/home/parrot/a", "b/~", "./~c"));
  EXPECT_THAT(FromFlags({"x", "~/a.jsonl", "--data", "~/b"}).data,
              ElementsAre("/home/parrot/a.jsonl", "/home/parrot/b"));
  EXPECT_THAT(FromYaml("stop: ~/x").stop, ElementsAre("~/x"));  // a text
  EXPECT_THAT(YamlError("output_dir: ~jay/x"), HasSubstr("output_dir: '~jay/x': another user's"));
  unsetenv("HOME");
  EXPECT_THAT(YamlError("output_dir: ~/x"), HasSubstr("HOME is not set"));
  setenv("HOME", home.c_str(), 1);
}

TEST(Args, WhatIsWrittenReadsBackTheSame) {
  TestOptions options = FromYaml("model: x");
  options.learning_rate = 0.1 + 0.2;
  options.warmup_ratio = 1e-5;
  options.model = "yes";
  options.output_dir = "it's a \"path\"\twith: # signs\n\xc3\xa9";
  options.chat_template = "null hypothesis";
  options.data = {"a,b", "[c]", "", "true", "1e5", "null"};
  options.stop = {"[INST]"};
  options.seed = -(int64_t{1} << 62);
  const OptionTable table(options);
  const std::string yaml = ToYaml(table);
  EXPECT_THAT(yaml, HasSubstr("warmup_ratio: 1.0e-05\n"));
  EXPECT_THAT(yaml, HasSubstr("# Training\n"));
  TestOptions again;
  SetDefaults(again);
  const OptionTable again_table(again);
  ApplyYaml(again_table, yaml, "config.yaml");
  EXPECT_EQ(ToJson(again_table).dump(), ToJson(table).dump());
  EXPECT_EQ(again.learning_rate, 0.1 + 0.2);
  EXPECT_EQ(again.output_dir, options.output_dir);
  EXPECT_EQ(ToYaml(again_table), yaml);
}

TEST(Args, JsonHasTypes) {
  const TestOptions set = FromYaml("model: x\nlearning_rate: 2e-4");
  TestOptions options = set;
  const OrderedJson json = ToJson(OptionTable(options));
  EXPECT_EQ(json["learning_rate"], 2e-4);
  EXPECT_TRUE(json["max_steps"].is_null());
  EXPECT_TRUE(json["packing"].is_boolean());
  EXPECT_TRUE(json["target_modules"].is_array());
}

TEST(Args, WhatIsNotAtItsDefaultAndWhatWasTyped) {
  TestOptions options = FromYaml("model: x\nlora_r: 32\nwarmup_ratio: 0.25\nmax_steps: null");
  const OptionTable table(options);
  EXPECT_EQ(ChangedToJson(table), (OrderedJson{{"model", "x"}, {"warmup_ratio", 0.25}}));
  std::vector<std::string> typed;
  const std::vector<const char*> argv = {"test", "--rank", "32", "--set", "lr=1e-3", "y"};
  ApplyCommandLine(table, {}, static_cast<int>(argv.size()), argv.data(), &typed);
  EXPECT_THAT(typed, ::testing::UnorderedElementsAre("lora_r", "learning_rate", "model"));
}

TEST(Args, HelpShowsEveryOptionOnceWithDefaultsAndFitsTheWidth) {
  TestOptions options;
  SetDefaults(options);
  const OptionTable table(options);
  const std::string help =
      HelpText(table, {.name = "test", .summary = "Tests options.", .epilog = "Example:\n  x\n"});
  EXPECT_THAT(help, HasSubstr("Usage: lorikeet test MODEL [DATA...]"));
  EXPECT_THAT(help, HasSubstr("  -r, --lora-r INT            Rank. [32]\n"));
  EXPECT_THAT(help, HasSubstr("  --[no-]packing              Pack. [on]\n"));
  EXPECT_THAT(
      help,
      HasSubstr("  -m, --model PATH            Folder, GGUF file or cached name. (required)\n"));
  EXPECT_THAT(help, HasSubstr("Where adapters sit. [all-linear]\n"));
  EXPECT_THAT(help, HasSubstr("  --lora-r                    --lora-rank, --rank\n"));
  EXPECT_THAT(help, HasSubstr("\nOutput\n"));
  size_t begin = 0;
  while (begin < help.size()) {
    const size_t end = help.find('\n', begin);
    EXPECT_LE(end - begin, 100U) << help.substr(begin, end - begin);
    begin = end + 1;
  }
  ::testing::internal::CaptureStdout();
  const char* argv[] = {"test", "--lora-r", "3", "--help"};
  EXPECT_FALSE(ParseCommandLine({.name = "test"}, 4, argv, options));
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("Usage: lorikeet test"));
}

TEST(Args, EntriesOfEpilogsAreThoseOfTheHelp) {
  EXPECT_EQ(HelpEntry("add", "the sum\nof two"),
            "  add                         the sum\n"
            "                              of two\n");
  const std::string wrapped =
      HelpEntry(std::string(40, 'n'), std::string(60, 'a') + " b c d e f g");
  EXPECT_EQ(wrapped, "  " + std::string(40, 'n') + "\n" + std::string(30, ' ') +
                         std::string(60, 'a') + " b c d\n" + std::string(30, ' ') + "e f g\n");
}

TEST(Nearest, SlipsAreFoundAndStrangersAreNot) {
  const std::vector<std::string> names = {"learning_rate", "lora_r", "lr_scheduler_type", "seed",
                                          "sft"};
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("abcd", "abdc"), 1);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(Nearest("learnig-rate", names), "learning_rate");
  EXPECT_EQ(Nearest("scheduler", names), "lr_scheduler_type");
  EXPECT_EQ(Nearest("SEED", names), "seed");
  EXPECT_EQ(Nearest("sfft", names), "sft");
  EXPECT_EQ(Nearest("banana", names), "");
  EXPECT_EQ(Nearest(std::string(1000000, 'a'), names), "");
}

}  // namespace
}  // namespace lorikeet
