package main

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// equivalents are the listed mutants and the reason why no test can kill each of them.
type equivalents map[identity]string

// readEquivalents reads the list. Its form is described at its top.
func readEquivalents(file string) (equivalents, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the list of equivalent mutants: %w", err)
	}
	list, err := parseEquivalents(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// parseEquivalents reads entries of three lines: place, source line, reason. The reason may continue on more indented lines.
func parseEquivalents(text string) (equivalents, error) {
	list := make(equivalents)
	var entry []string
	start := 0
	store := func() error {
		if len(entry) == 0 {
			return nil
		}
		id, reason, err := parseEntry(entry)
		if err != nil {
			return fmt.Errorf("line %d: %w", start, err)
		}
		if _, twice := list[id]; twice {
			return fmt.Errorf("line %d: the mutant is listed twice", start)
		}
		list[id], entry = reason, nil
		return nil
	}
	at := 0
	for line := range strings.Lines(text) {
		at++
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			if err := store(); err != nil {
				return nil, err
			}
		case !strings.HasPrefix(line, " "):
			if err := store(); err != nil {
				return nil, err
			}
			entry, start = []string{line}, at
		default:
			if len(entry) == 0 {
				return nil, fmt.Errorf("line %d: an entry starts with file, function, kind and number", at)
			}
			entry = append(entry, strings.TrimSpace(line))
		}
	}
	if err := store(); err != nil {
		return nil, err
	}
	return list, nil
}

// reasonPrefix starts the reason of an entry.
const reasonPrefix = "Reason: "

func parseEntry(entry []string) (identity, string, error) {
	fields := strings.Fields(entry[0])
	if len(fields) != 4 {
		return identity{}, "", fmt.Errorf("%q does not have the form: file function kind number", entry[0])
	}
	ordinal, err := strconv.Atoi(fields[3])
	if err != nil || ordinal < 1 {
		return identity{}, "", fmt.Errorf("%q is not a number from 1", fields[3])
	}
	if len(entry) < 3 || !strings.HasPrefix(entry[2], reasonPrefix) {
		return identity{}, "", fmt.Errorf("the entry lacks the source line or, after it, %q", reasonPrefix)
	}
	reason := strings.TrimPrefix(strings.Join(entry[2:], " "), reasonPrefix)
	return identity{file: fields[0], function: fields[1], kind: fields[2], text: entry[1], ordinal: ordinal}, reason, nil
}

// of returns the entries for the files of a package.
func (e equivalents) of(pkg string) equivalents {
	selected := make(equivalents)
	for id, reason := range e {
		if path.Dir(id.file) == pkg {
			selected[id] = reason
		}
	}
	return selected
}
