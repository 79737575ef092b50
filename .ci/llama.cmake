# Read by CMake when it comes to llama.cpp (CMAKE_PROJECT_llama.cpp_INCLUDE): leave out `common`, llama.cpp's helpers
# for its own programs. The bindings never load it, and it is two fifths of the files to compile. They switch it on in the
# cache, past any -D of ours; a plain variable of the project comes first.
set(LLAMA_BUILD_COMMON OFF)
