#include "chat/jinja/expression_parser.h"

#include <algorithm>

#include "core/error.h"

namespace lorikeet::jinja {

ExpressionParser::Nested::Nested(ExpressionParser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kMaxDepth) {
    --parser_.nesting_;
    Fail(ErrorCode::kUnsupported, "line {}: nested deeper than {} levels",
         parser_.tokens_.Peek().line, kMaxDepth);
  }
}

ExprPtr ExpressionParser::Make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExprPtr ExpressionParser::Finish(ExprPtr node) const {
  int depth = 0;
  auto count = [&](const ExprPtr& child) {
    if (child) depth = std::max(depth, child->depth);
  };
  for (const auto& child : node->children) count(child);
  for (const auto& child : node->arguments) count(child);
  for (const auto& [name, child] : node->named) count(child);
  count(node->star);
  count(node->double_star);
  node->depth = depth + 1;
  // Chains such as a + b + c nest to the left without recursion of the parser.
  if (node->depth > kMaxDepth) {
    Fail(ErrorCode::kUnsupported, "line {}: an expression is deeper than {} levels", node->line,
         kMaxDepth);
  }
  return node;
}

ExprPtr ExpressionParser::Constant(Value value, int line) const {
  auto node = Make(ExprKind::kConstant, line);
  node->constant = std::move(value);
  return node;
}

ExprPtr ExpressionParser::Binary(ExprKind kind, std::string op, ExprPtr left, ExprPtr right,
                                 int line) const {
  auto node = Make(kind, line);
  node->name = std::move(op);
  node->children.push_back(std::move(left));
  node->children.push_back(std::move(right));
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::Expression(bool with_condition) {
  const Nested nested(*this);
  const int line = tokens_.Peek().line;
  ExprPtr value = Or();
  while (with_condition && tokens_.SkipName("if")) {
    auto node = Make(ExprKind::kIf, line);
    node->children.push_back(Or());
    node->children.push_back(std::move(value));
    node->children.push_back(tokens_.SkipName("else") ? Expression() : nullptr);
    value = Finish(std::move(node));
  }
  return value;
}

ExprPtr ExpressionParser::Or() {
  const int line = tokens_.Peek().line;
  ExprPtr left = And();
  while (tokens_.SkipName("or")) left = Binary(ExprKind::kOr, "or", std::move(left), And(), line);
  return left;
}

ExprPtr ExpressionParser::And() {
  const int line = tokens_.Peek().line;
  ExprPtr left = Not();
  while (tokens_.SkipName("and"))
    left = Binary(ExprKind::kAnd, "and", std::move(left), Not(), line);
  return left;
}

ExprPtr ExpressionParser::Not() {
  if (!tokens_.IsName("not")) return Comparison();
  const Nested nested(*this);
  auto node = Make(ExprKind::kNot, tokens_.Next().line);
  node->children.push_back(Not());
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::Comparison() {
  auto node = Make(ExprKind::kCompare, tokens_.Peek().line);
  node->children.push_back(Sum());
  while (true) {
    static constexpr std::string_view kOps[] = {"==", "!=", "<", "<=", ">", ">="};
    std::string op;
    for (std::string_view candidate : kOps) {
      if (tokens_.IsOp(candidate)) op = candidate;
    }
    if (tokens_.IsName("in")) op = "in";
    if (tokens_.IsName("not") && tokens_.IsName("in", 1)) {
      tokens_.Next();
      op = "not in";
    }
    if (op.empty()) break;
    tokens_.Next();
    node->operators.push_back(op);
    node->children.push_back(Sum());
  }
  if (node->operators.empty()) return std::move(node->children[0]);
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::Sum() {
  const int line = tokens_.Peek().line;
  ExprPtr left = Concat();
  while (tokens_.IsOp("+") || tokens_.IsOp("-")) {
    std::string op = tokens_.Next().text;
    left = Binary(ExprKind::kBinary, std::move(op), std::move(left), Concat(), line);
  }
  return left;
}

ExprPtr ExpressionParser::Concat() {
  auto node = Make(ExprKind::kConcat, tokens_.Peek().line);
  node->children.push_back(Product());
  while (tokens_.SkipOp("~")) node->children.push_back(Product());
  if (node->children.size() == 1) return std::move(node->children[0]);
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::Product() {
  const int line = tokens_.Peek().line;
  ExprPtr left = Power();
  while (tokens_.IsOp("*") || tokens_.IsOp("/") || tokens_.IsOp("//") || tokens_.IsOp("%")) {
    std::string op = tokens_.Next().text;
    left = Binary(ExprKind::kBinary, std::move(op), std::move(left), Power(), line);
  }
  return left;
}

ExprPtr ExpressionParser::Power() {
  const int line = tokens_.Peek().line;
  ExprPtr left = Unary(true);
  while (tokens_.SkipOp("**")) {
    left = Binary(ExprKind::kBinary, "**", std::move(left), Unary(true), line);
  }
  return left;
}

ExprPtr ExpressionParser::Unary(bool with_filter) {
  ExprPtr node;
  if (tokens_.IsOp("-") || tokens_.IsOp("+")) {
    const Nested nested(*this);
    node = Make(ExprKind::kUnary, tokens_.Peek().line);
    node->name = tokens_.Next().text;
    node->children.push_back(Unary(false));
    node = Finish(std::move(node));
  } else {
    node = Primary();
  }
  node = Postfix(std::move(node));
  return with_filter ? Filters(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::Primary() {
  const Token token = tokens_.Peek();
  switch (token.type) {
    case TokenType::kName: {
      tokens_.Next();
      if (token.text == "true" || token.text == "True")
        return Constant(Value::Bool(true), token.line);
      if (token.text == "false" || token.text == "False") {
        return Constant(Value::Bool(false), token.line);
      }
      if (token.text == "none" || token.text == "None") return Constant(Value::None(), token.line);
      auto node = Make(ExprKind::kName, token.line);
      node->name = token.text;
      return node;
    }
    case TokenType::kString: {
      std::string text;
      while (tokens_.Peek().type == TokenType::kString) text += tokens_.Next().text;
      return Constant(Value::String(std::move(text)), token.line);
    }
    case TokenType::kInteger:
      tokens_.Next();
      return Constant(Value::Int(token.integer), token.line);
    case TokenType::kFloat:
      tokens_.Next();
      return Constant(Value::Float(token.real), token.line);
    default:
      break;
  }
  if (tokens_.SkipOp("(")) {
    ExprPtr node = Tuple(true, {}, true);
    tokens_.ExpectOp(")");
    return node;
  }
  if (tokens_.IsOp("[")) return ListLiteral();
  if (tokens_.IsOp("{")) return DictLiteral();
  tokens_.Bad("expected an expression");
}

ExprPtr ExpressionParser::Tuple(bool with_condition, std::string_view end_name,
                                bool parenthesised) {
  auto node = Make(ExprKind::kTuple, tokens_.Peek().line);
  bool tuple = false;
  while (true) {
    const TokenType type = tokens_.Peek().type;
    if (type == TokenType::kVariableEnd || type == TokenType::kBlockEnd || tokens_.IsOp(")") ||
        (!end_name.empty() && tokens_.IsName(end_name))) {
      break;
    }
    node->children.push_back(Expression(with_condition));
    if (!tokens_.SkipOp(",")) break;
    tuple = true;
  }
  if (!tuple && !node->children.empty()) return std::move(node->children[0]);
  if (!tuple && !parenthesised) tokens_.Bad("expected an expression");
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::ListLiteral() {
  auto node = Make(ExprKind::kList, tokens_.Next().line);
  while (!tokens_.IsOp("]")) {
    node->children.push_back(Expression());
    if (!tokens_.SkipOp(",")) break;
  }
  tokens_.ExpectOp("]");
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::DictLiteral() {
  auto node = Make(ExprKind::kDict, tokens_.Next().line);
  while (!tokens_.IsOp("}")) {
    node->children.push_back(Expression());
    tokens_.ExpectOp(":");
    node->children.push_back(Expression());
    if (!tokens_.SkipOp(",")) break;
  }
  tokens_.ExpectOp("}");
  return Finish(std::move(node));
}

ExprPtr ExpressionParser::Postfix(ExprPtr node) {
  while (true) {
    if (tokens_.IsOp(".") || tokens_.IsOp("[")) {
      node = Subscript(std::move(node));
    } else if (tokens_.IsOp("(")) {
      node = Call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr ExpressionParser::Subscript(ExprPtr node) {
  const int line = tokens_.Peek().line;
  if (tokens_.SkipOp(".")) {
    if (tokens_.Peek().type == TokenType::kInteger) {
      return Binary(ExprKind::kItem, "", std::move(node),
                    Constant(Value::Int(tokens_.Next().integer), line), line);
    }
    auto attribute = Make(ExprKind::kAttribute, line);
    attribute->name = tokens_.TakeName("a name or number after '.'");
    attribute->children.push_back(std::move(node));
    return Finish(std::move(attribute));
  }
  tokens_.ExpectOp("[");
  ExprPtr first = tokens_.IsOp(":") ? nullptr : Expression();
  if (!tokens_.IsOp(":")) {
    if (tokens_.IsOp(",")) {
      Fail(ErrorCode::kUnsupported, "line {}: a subscript with a comma is not supported", line);
    }
    tokens_.ExpectOp("]");
    return Binary(ExprKind::kItem, "", std::move(node), std::move(first), line);
  }
  auto slice = Make(ExprKind::kSlice, line);
  slice->children.push_back(std::move(node));
  slice->children.push_back(std::move(first));
  while (slice->children.size() < 4 && tokens_.SkipOp(":")) {
    const bool absent = tokens_.IsOp(":") || tokens_.IsOp("]");
    slice->children.push_back(absent ? nullptr : Expression());
  }
  slice->children.resize(4);
  tokens_.ExpectOp("]");
  return Finish(std::move(slice));
}

ExprPtr ExpressionParser::Call(ExprPtr node) {
  auto call = Make(ExprKind::kCall, tokens_.Peek().line);
  call->children.push_back(std::move(node));
  Arguments(*call);
  return Finish(std::move(call));
}

void ExpressionParser::Arguments(Expr& node) {
  tokens_.ExpectOp("(");
  while (!tokens_.IsOp(")")) {
    if (tokens_.IsOp("*") && !node.star && !node.double_star) {
      tokens_.Next();
      node.star = Expression();
    } else if (tokens_.IsOp("**") && !node.double_star) {
      tokens_.Next();
      node.double_star = Expression();
    } else if (tokens_.Peek().type == TokenType::kName && tokens_.IsOp("=", 1)) {
      std::string name = tokens_.Next().text;
      tokens_.Next();
      node.named.emplace_back(std::move(name), Expression());
    } else {
      if (node.star || node.double_star || !node.named.empty()) {
        tokens_.Bad("a positional argument follows a named one");
      }
      node.arguments.push_back(Expression());
    }
    if (!tokens_.SkipOp(",")) break;
  }
  tokens_.ExpectOp(")");
}

ExprPtr ExpressionParser::Filters(ExprPtr node) {
  while (true) {
    if (tokens_.IsOp("|")) {
      node = FilterChain(std::move(node), false);
    } else if (tokens_.IsName("is")) {
      node = Test(std::move(node));
    } else if (tokens_.IsOp("(")) {
      node = Call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr ExpressionParser::FilterChain(ExprPtr operand, bool start_inline) {
  while (start_inline || tokens_.SkipOp("|")) {
    start_inline = false;
    auto filter = Make(ExprKind::kFilter, tokens_.Peek().line);
    filter->name = tokens_.TakeName("the name of a filter");
    filter->children.push_back(std::move(operand));
    if (tokens_.IsOp("(")) Arguments(*filter);
    operand = Finish(std::move(filter));
  }
  return operand;
}

ExprPtr ExpressionParser::Test(ExprPtr node) {
  auto test = Make(ExprKind::kTest, tokens_.Next().line);
  const bool negated = tokens_.SkipName("not");
  test->name = tokens_.TakeName("the name of a test");
  test->children.push_back(std::move(node));
  const TokenType type = tokens_.Peek().type;
  const bool operand = type == TokenType::kString || type == TokenType::kInteger ||
                       type == TokenType::kFloat || tokens_.IsOp("[") || tokens_.IsOp("{") ||
                       (type == TokenType::kName && !tokens_.IsName("else") &&
                        !tokens_.IsName("or") && !tokens_.IsName("and"));
  if (tokens_.IsOp("(")) {
    Arguments(*test);
  } else if (operand) {
    if (tokens_.IsName("is")) tokens_.Bad("tests cannot be chained with 'is'");
    test->arguments.push_back(Postfix(Primary()));
  }
  ExprPtr result = Finish(std::move(test));
  if (!negated) return result;
  auto inverse = Make(ExprKind::kNot, result->line);
  inverse->children.push_back(std::move(result));
  return Finish(std::move(inverse));
}

Target ExpressionParser::OneTarget(bool with_namespace) {
  const Nested nested(*this);
  if (tokens_.SkipOp("(")) {
    Target target = AssignTarget(with_namespace);
    tokens_.ExpectOp(")");
    return target;
  }
  Target target;
  target.name = tokens_.TakeName("a name to assign to");
  static constexpr std::string_view kReserved[] = {"true", "false", "none",
                                                   "True", "False", "None"};
  if (std::find(std::begin(kReserved), std::end(kReserved), target.name) != std::end(kReserved)) {
    tokens_.Bad(fmt::format("cannot assign to '{}'", target.name));
  }
  if (with_namespace && tokens_.SkipOp(".")) target.attribute = tokens_.TakeName("an attribute");
  return target;
}

Target ExpressionParser::AssignTarget(bool with_namespace, std::string_view end_name) {
  Target first = OneTarget(with_namespace);
  if (!tokens_.IsOp(",")) return first;
  Target tuple;
  tuple.tuple = true;
  tuple.items.push_back(std::move(first));
  while (tokens_.SkipOp(",")) {
    if (tokens_.IsOp("=") || tokens_.IsOp(")") || (!end_name.empty() && tokens_.IsName(end_name))) {
      break;
    }
    tuple.items.push_back(OneTarget(with_namespace));
  }
  return tuple;
}

}  // namespace lorikeet::jinja
