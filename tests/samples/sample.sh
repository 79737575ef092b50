#!/bin/bash
# A script.
source ./lib.sh
. "$DIR/other.sh"
LIMIT=3
export NAME=x

# Finds it.
find_it() {
  local key=$1
  grep "$key" file
}
function other {
  echo hi
  find_it x
}
find_it y
