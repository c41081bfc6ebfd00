// Tasks from data files: prompts with the reference answers of a grader.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/columns.h"
#include "verify/task.h"

namespace lorikeet {

// Reads a data file (data/row_file.h) of rows
//   prompt or messages  a text (one user message), or a list of messages of which the last is not
//                       the assistant's; "question" and "problem" are other names of "prompt"
//   answer              the reference: a text, a number or a boolean; may be absent for "none"
//   grader              of this row, instead of `grader` (verify/grader.h)
//   id, tools, chat_template_kwargs
// Other keys go to Problem::data, for external rewards. Problem::task is the file's name without
// its folder. Throws one Error for all bad rows, "FILE:LINE: reason"; a row whose reference the
// grader cannot use is bad. `columns`: columns of other names, of RowKind::kProblems; a row without
// a named prompt or answer is bad, and so is a file without any other named column.
std::vector<Problem> LoadTaskFile(const std::string& path, std::string_view grader,
                                  const ColumnMap& columns = {});
// The problems of several files, in order.
std::vector<Problem> LoadTaskFiles(std::span<const std::string> paths, std::string_view grader,
                                   const ColumnMap& columns = {});

}  // namespace lorikeet
