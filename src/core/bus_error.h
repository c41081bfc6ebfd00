// Reports SIGBUS, the signal for a page of a mapped file that cannot be read: the file was cut
// short meanwhile, or its disk has an error.
#pragma once
#include <cstddef>
#include <string>

namespace lorikeet {

// Installs a handler that names the file in one line on stderr and ends the program with status 1.
void InstallBusErrorHandler();

// Mappings that the handler can name; MappedFile calls these.
void AddMapping(const void* begin, size_t bytes, const std::string& path);
void RemoveMapping(const void* begin);

}  // namespace lorikeet
