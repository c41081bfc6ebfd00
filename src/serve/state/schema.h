// Migrations of a server's database: number n, from 1, makes version n of its schema from version
// n - 1. A released one is never changed; new tables and columns are a new migration at the end.
#pragma once
#include <span>
#include <string_view>

namespace lorikeet {

std::span<const std::string_view> StateMigrations();

}  // namespace lorikeet
