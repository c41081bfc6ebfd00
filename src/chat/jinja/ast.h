// The abstract syntax tree of a template. It is constant after parsing, so any number of threads
// may render one.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

namespace lorikeet::jinja {

enum class ExprKind : uint8_t {
  kConstant,
  kName,
  kList,
  kTuple,
  kDict,       // children: key, value, key, value, ...
  kAttribute,  // children[0] . name
  kItem,       // children[0] [ children[1] ]
  kSlice,      // children[0] [ children[1] : children[2] : children[3] ], absent parts null
  kCall,       // children[0] ( arguments )
  kFilter,     // children[0] | name ( arguments ); children[0] null inside a filter block
  kTest,       // children[0] is name ( arguments )
  kNot,
  kAnd,
  kOr,
  kIf,       // children: condition, then, else (may be null)
  kCompare,  // children[0] operators[0] children[1] operators[1] children[2] ...
  kBinary,   // name is the operator
  kUnary,    // name is + or -
  kConcat,   // children joined by ~
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind = ExprKind::kConstant;
  int line = 1;
  int depth = 1;
  std::string name;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<std::string> operators;
  // Arguments of calls, filters and tests.
  std::vector<ExprPtr> arguments;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *args
  ExprPtr double_star;  // **kwargs
};

// Target of an assignment: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> items;
  bool tuple = false;
};

enum class StmtKind : uint8_t {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCall,
  kFilter,
  kWith,
  kGeneration,
  kBreak,
  kContinue,
};

struct Stmt;
using Block = std::vector<Stmt>;

struct Parameter {
  std::string name;
  ExprPtr fallback;  // null: required
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  int line = 1;
  std::string text;    // kText: the text; kMacro: the name
  ExprPtr expression;  // value, condition of if, iterable of for, call, filter (of kSetBlock: may
                       // be null)
  ExprPtr condition;   // for ... if
  Target target;
  std::vector<Parameter> parameters;                 // kMacro, kCall
  std::vector<std::pair<Target, ExprPtr>> bindings;  // kWith
  Block body;
  std::vector<std::pair<ExprPtr, Block>> branches;  // elif
  Block otherwise;                                  // else
  bool uses_caller = false;                         // kMacro
};

}  // namespace lorikeet::jinja
