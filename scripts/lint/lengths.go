package main

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	// maxFileLines is the length of the longest Go file. Functions are limited by funlen, in .golangci.yml.
	maxFileLines = 400
	// maxTestName is the length of the longest name of a test, benchmark, fuzz target or example, prefix included.
	maxTestName = 60
)

// testFunc matches the declaration of a function that `go test` runs.
var testFunc = regexp.MustCompile(`^func ((?:Test|Benchmark|Fuzz|Example)\w*)\(`)

func checkFileLength(file, content string) []finding {
	lines := strings.Count(content, "\n")
	if lines <= maxFileLines {
		return nil
	}
	return []finding{{file, lines, fmt.Sprintf("%d lines, at most %d: split the file by subject", lines, maxFileLines)}}
}

func checkTestNames(file, content string) []finding {
	if !strings.HasSuffix(file, "_test.go") {
		return nil
	}
	var findings []finding
	number := 0
	for line := range strings.Lines(content) {
		number++
		match := testFunc.FindStringSubmatch(line)
		if len(match) == 2 && len(match[1]) > maxTestName {
			findings = append(findings, finding{file, number, fmt.Sprintf(
				"name of %d characters, at most %d: %s", len(match[1]), maxTestName, match[1])})
		}
	}
	return findings
}
