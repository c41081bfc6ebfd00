// Short texts to compare tokenizers on.
#pragma once
#include <array>
#include <string_view>

namespace lorikeet {

// Texts that different tokenizers encode differently: digits, spaces, line ends, contractions,
// scripts, joined characters, code, and text that looks like special tokens.
inline constexpr std::array<std::string_view, 17> kProbeTexts = {
    "Hello, world!",
    "this is what everybody says when they say hello again",
    " leading and trailing ",
    "two  spaces,   three, \t a tab",
    "lines\nand\r\nmore\n\n\nlines\n",
    "I'll say it's DON'T, we're, o'clock",
    "1 12 123 1234 12345 3.14159 1,000,000",
    "CamelCase snake_case kebab-case UPPER lower",
    "def f(x):\n    return x**2  # square\n",
    "{\"key\": [1, 2.5, null], \"t\": true}",
    "naïve café, cafe\u0301; Straße, ﬁ ligature, Å",
    "今日はいい天気です。你好，世界！안녕하세요",
    "Привет, мир! שלום مرحبا नमस्ते",
    "🙂👩‍👩‍👧‍👦🇫🇷 ✓ → ∑ ½ \u200b.",
    "https://example.org/a?b=c&d=%20#e",
    "<s></s><|im_start|>user\nhi<|im_end|>\n<|eot_id|>[INST] [/INST]<unk>",
    "...!!! ??? --- ___ *** $$$ ``` \\n \\t",
};

}  // namespace lorikeet
