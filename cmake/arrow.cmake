# Arrow reads Parquet and Arrow data files (src/data/arrow_rows.cc). Debian 12 has no Arrow for C++, but the pyarrow wheel
# has headers and libraries: -DLORIKEET_ARROW_DIR=.../site-packages/pyarrow. Without it lorikeet_arrow is empty, and such
# files are refused with the command that converts them.
set(LORIKEET_ARROW_DIR "" CACHE PATH "folder of a pyarrow wheel (include/, libarrow.so.*), to read Parquet and Arrow files")

add_library(lorikeet_arrow INTERFACE)
if(LORIKEET_ARROW_DIR)
  file(GLOB arrow_libraries "${LORIKEET_ARROW_DIR}/libarrow.so*" "${LORIKEET_ARROW_DIR}/libparquet.so*")
  list(LENGTH arrow_libraries count)
  if(count LESS 2 OR NOT EXISTS "${LORIKEET_ARROW_DIR}/include/arrow/api.h")
    message(FATAL_ERROR "LORIKEET_ARROW_DIR=${LORIKEET_ARROW_DIR}: no libarrow.so*, libparquet.so* and include/arrow/api.h; "
      "give the folder of an installed pyarrow: python -c 'import pyarrow; print(pyarrow.__path__[0])'")
  endif()
  # A wheel can be built with another C++ ABI than this compiler's: then this does not link.
  set(CMAKE_REQUIRED_INCLUDES "${LORIKEET_ARROW_DIR}/include")
  set(CMAKE_REQUIRED_LIBRARIES ${arrow_libraries})
  set(CMAKE_REQUIRED_FLAGS "-std=c++20")
  include(CheckCXXSourceCompiles)
  check_cxx_source_compiles("
    #include <arrow/api.h>
    #include <parquet/arrow/reader.h>
    int main() {
      const std::string name = arrow::GetBuildInfo().version_string;
      const auto reader = parquet::arrow::OpenFile(nullptr, arrow::default_memory_pool());
      return name.empty() || reader.ok() ? 1 : 0;
    }" LORIKEET_ARROW_LINKS)
  if(NOT LORIKEET_ARROW_LINKS)
    message(FATAL_ERROR "LORIKEET_ARROW_DIR=${LORIKEET_ARROW_DIR}: its libraries do not link with this compiler (another "
      "C++ ABI or an older standard library); take another pyarrow, or leave LORIKEET_ARROW_DIR out")
  endif()
  target_include_directories(lorikeet_arrow SYSTEM INTERFACE "${LORIKEET_ARROW_DIR}/include")
  target_link_libraries(lorikeet_arrow INTERFACE ${arrow_libraries})
  target_link_options(lorikeet_arrow INTERFACE "-Wl,-rpath,${LORIKEET_ARROW_DIR}")
  target_compile_definitions(lorikeet_arrow INTERFACE LORIKEET_ARROW)
endif()
