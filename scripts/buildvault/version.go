package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// version is a released Vault version: major, minor, patch.
type version [3]int

// String writes the version as Go modules do, "v1.21.1".
func (v version) String() string { return fmt.Sprintf("v%d.%d.%d", v[0], v[1], v[2]) }

// less reports whether v is an older version than w.
func (v version) less(w version) bool {
	return cmp.Or(cmp.Compare(v[0], w[0]), cmp.Compare(v[1], w[1]), cmp.Compare(v[2], w[2])) < 0
}

// versionLine matches the line that `vault version` prints, such as
// "Vault v1.18.0+ent (abcdef), built 2024-10-08T09:12:52Z (cgo)".
var versionLine = regexp.MustCompile(`^Vault v(\d+)\.(\d+)\.(\d+)(\S*)`)

// errEnterprise is returned for an Enterprise binary.
var errEnterprise = errors.New("it is Vault Enterprise, which needs a licence to start")

// parseVersion parses the output of `vault version`. A pre-release ("-rc1") counts as its release.
func parseVersion(output string) (version, error) {
	match := versionLine.FindStringSubmatch(strings.TrimSpace(output))
	if match == nil {
		return version{}, fmt.Errorf("it does not print a version of Vault: %q", lastLines(output, 1))
	}
	if strings.Contains(match[4], "+ent") {
		return version{}, errEnterprise
	}
	var v version
	for i := range v {
		n, err := strconv.Atoi(match[i+1])
		if err != nil {
			return version{}, fmt.Errorf("parse the version %q: %w", match[0], err)
		}
		v[i] = n
	}
	return v, nil
}
