package store

import (
	"fmt"
	h "net/http"
	. "strings"
	_ "embed"
	"github.com/me/proj/v2/util"
)

const Max = 3

var (
	one = 1
	two = 2
)

// Store keeps things.
type Store struct {
	path string
	n    int
}

type Reader interface {
	Read(p []byte) (int, error)
}

// Open opens it.
func Open(path string) (*Store, error) {
	fmt.Println(path)
	return &Store{path: path}, nil
}

func (s *Store) Close() error {
	h.Get(s.path)
	return nil
}
