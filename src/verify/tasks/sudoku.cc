// Sudoku of 4x4 cells.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "core/check.h"
#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

constexpr int kCells = 16;
using Grid = std::array<int, kCells>;  // row by row; 0: empty

// Whether two cells may not hold the same number: the same row, column or 2x2 box.
bool Related(int a, int b) {
  const int row_a = a / 4, column_a = a % 4, row_b = b / 4, column_b = b % 4;
  return row_a == row_b || column_a == column_b ||
         (row_a / 2 == row_b / 2 && column_a / 2 == column_b / 2);
}

bool Fits(const Grid& grid, int cell, int number) {
  for (int other = 0; other < kCells; ++other) {
    if (other != cell && Related(cell, other) && grid[other] == number) return false;
  }
  return true;
}

// Number of solutions of the grid, counted up to `max`.
int CountSolutions(Grid& grid, int max) {
  const auto empty = std::ranges::find(grid, 0);
  if (empty == grid.end()) return 1;
  const int cell = static_cast<int>(empty - grid.begin());
  int found = 0;
  for (int number = 1; number <= 4 && found < max; ++number) {
    if (!Fits(grid, cell, number)) continue;
    grid[cell] = number;
    found += CountSolutions(grid, max - found);
  }
  grid[cell] = 0;
  return found;
}

// Fills the empty cells, trying the numbers of each in random order.
bool FillAtRandom(ProblemRandom& random, Grid& grid) {
  const auto empty = std::ranges::find(grid, 0);
  if (empty == grid.end()) return true;
  std::array<int, 4> numbers = {1, 2, 3, 4};
  random.Shuffle(numbers);
  for (const int number : numbers) {
    if (!Fits(grid, static_cast<int>(empty - grid.begin()), number)) continue;
    *empty = number;
    if (FillAtRandom(random, grid)) return true;
  }
  *empty = 0;
  return false;
}

// `solution` with `blanks` empty cells so that it remains the only solution; absent if the random
// order of emptying does not reach that many.
std::optional<Grid> TryBlank(ProblemRandom& random, const Grid& solution, int blanks) {
  std::array<int, kCells> cells;
  std::iota(cells.begin(), cells.end(), 0);
  random.Shuffle(cells);
  Grid grid = solution;
  for (const int cell : cells) {
    if (blanks == 0) break;
    grid[cell] = 0;
    if (CountSolutions(grid, 2) == 1) {
      --blanks;
    } else {
      grid[cell] = solution[cell];
    }
  }
  if (blanks > 0) return std::nullopt;
  return grid;
}

std::string Shown(const Grid& grid) {
  std::string text;
  for (int cell = 0; cell < kCells; ++cell) {
    text += grid[cell] == 0 ? "_" : std::to_string(grid[cell]);
    if (cell + 1 < kCells) text.push_back(cell % 4 == 3 ? '\n' : ' ');
  }
  return text;
}

Question MakeSudoku(ProblemRandom& random, int difficulty) {
  std::optional<Grid> grid;
  Grid solution = {};
  for (int attempt = 0; attempt < 1000 && !grid; ++attempt) {
    solution.fill(0);
    CHECK(FillAtRandom(random, solution));
    grid = TryBlank(random, solution, difficulty);
  }
  CHECK(grid);
  return {.prompt =
              "Fill in this 4x4 sudoku. Each row, each column and each 2x2 box has the numbers "
              "1, 2, 3 and 4; _ is an empty cell.\n" +
              Shown(*grid) + "\nReply with the four full rows only.",
          .answer = Shown(solution),
          .data = {{"grid", *grid}}};
}

// The numbers of a line if it has no letters.
std::vector<int> CellsOf(std::string_view line) {
  std::vector<int> cells;
  for (const char c : line) {
    if (IsAsciiLetter(c)) return {};
    if (IsAsciiDigit(c)) cells.push_back(c - '0');
  }
  return cells;
}

// The last four lines of four digits each, or the last line of sixteen.
std::optional<Grid> ReadGrid(std::string_view text) {
  std::vector<int> cells;
  while (!text.empty()) {
    const size_t at = text.find('\n');
    const std::vector<int> line = CellsOf(text.substr(0, at));
    if (line.size() == 4 || line.size() == kCells) {
      cells.insert(cells.end(), line.begin(), line.end());
    }
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + 1);
  }
  if (cells.size() < kCells) return std::nullopt;
  Grid grid;
  std::copy(cells.end() - kCells, cells.end(), grid.begin());
  return grid;
}

Grade GradeGrid(const Grid& given, const Grid& filled) {
  for (int cell = 0; cell < kCells; ++cell) {
    const int row = cell / 4 + 1, column = cell % 4 + 1, number = filled[cell];
    if (number < 1 || number > 4) {
      return Grade::Wrong(fmt::format("row {}, column {} has a {}", row, column, number));
    }
    if (given[cell] != 0 && given[cell] != number) {
      return Grade::Wrong(fmt::format("row {}, column {} was changed", row, column));
    }
    if (!Fits(filled, cell, number)) {
      return Grade::Wrong(
          fmt::format("the {} of row {}, column {} is there twice", number, row, column));
    }
  }
  return Grade::Correct();
}

Grade GradeSudoku(const Problem& problem, std::string_view completion) {
  const auto numbers = problem.data.at("grid").get<std::vector<int>>();
  if (numbers.size() != kCells) {
    Fail(ErrorCode::kInvalidArgument, "a grid of {} cells", numbers.size());
  }
  Grid given;
  std::ranges::copy(numbers, given.begin());
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kRest)) {
    if (const auto filled = ReadGrid(region.text)) return GradeGrid(given, *filled);
  }
  return Grade::Wrong("no four rows of four numbers");
}

}  // namespace

std::vector<TaskRow> SudokuTasks() {
  return {{"sudoku4", "a 4x4 sudoku with one solution", "empty cells", 1, 10, 1, MakeSudoku,
           GradeSudoku}};
}

}  // namespace lorikeet
