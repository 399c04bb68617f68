package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
)

// identity names a mutant in a way that survives changes elsewhere in its file: lines move, their text seldom changes.
type identity struct {
	file     string // relative to the root of the repository
	function string // "name", "Type.name", or one of the words below outside functions
	kind     string // gremlins' word for the change, such as CONDITIONALS_BOUNDARY
	text     string // the line, without white space at its ends
	ordinal  int    // from 1: which of the mutants that agree in all of this
}

// The words for a mutant outside the declared functions.
const (
	inDeclaration = "-"
	inLiteral     = "func" // in a function that is the value of a variable
)

// String returns the identity as the list of equivalents has it.
func (i identity) String() string {
	return fmt.Sprintf("%s %s %s %d\n    %s", i.file, i.function, i.kind, i.ordinal, i.text)
}

// mutant is a changed operator and what the tests said of it.
type mutant struct {
	identity
	status       string
	line, column int
}

// number sorts the mutants by their places and sets their ordinals.
func number(mutants []mutant) {
	slices.SortFunc(mutants, func(a, b mutant) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column), cmp.Compare(a.kind, b.kind))
	})
	seen := make(map[identity]int)
	for at := range mutants {
		seen[mutants[at].identity]++
		mutants[at].ordinal = seen[mutants[at].identity]
	}
}

// sourceFile is a parsed Go file.
type sourceFile struct {
	lines []string
	set   *token.FileSet
	file  *ast.File
}

// parseSource reads and parses a Go file.
func parseSource(name string) (*sourceFile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, data, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &sourceFile{lines: strings.Split(string(data), "\n"), set: set, file: file}, nil
}

// line returns a line, counted from 1, without white space at its ends.
func (s *sourceFile) line(number int) string {
	if number < 1 || number > len(s.lines) {
		return ""
	}
	return strings.TrimSpace(s.lines[number-1])
}

// functionAt returns the name of the function that contains a position, or the word for a place outside functions.
func (s *sourceFile) functionAt(line, column int) string {
	name := inDeclaration
	for _, decl := range s.file.Decls {
		if !s.contains(decl, line, column) {
			continue
		}
		if function, ok := decl.(*ast.FuncDecl); ok {
			return functionName(function)
		}
		ast.Inspect(decl, func(node ast.Node) bool {
			if literal, ok := node.(*ast.FuncLit); ok && s.contains(literal, line, column) {
				name = inLiteral
			}
			return true
		})
	}
	return name
}

func (s *sourceFile) contains(node ast.Node, line, column int) bool {
	start, end := s.set.Position(node.Pos()), s.set.Position(node.End())
	return (line > start.Line || line == start.Line && column >= start.Column) &&
		(line < end.Line || line == end.Line && column < end.Column)
}

// functionName returns "name", or "Type.name" for a method.
func functionName(function *ast.FuncDecl) string {
	name := function.Name.Name
	if function.Recv == nil || len(function.Recv.List) == 0 {
		return name
	}
	receiver := function.Recv.List[0].Type
	for {
		switch node := receiver.(type) {
		case *ast.StarExpr:
			receiver = node.X
		case *ast.IndexExpr:
			receiver = node.X
		case *ast.IndexListExpr:
			receiver = node.X
		case *ast.Ident:
			return node.Name + "." + name
		default:
			return name
		}
	}
}
