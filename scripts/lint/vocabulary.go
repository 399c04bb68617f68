package main

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// vocabulary is the content of vocabulary.txt.
type vocabulary struct {
	words   words
	allowed []*allowance
}

// word is an expression that is not used, and what is written in its place.
type word struct {
	pattern *regexp.Regexp
	// literals has a part of each alternative of the pattern, in lower case. A text that contains none of them does
	// not match. Without literals, any text may match.
	literals []string
	// english expressions are also found in identifiers, whose words are separated first.
	english bool
	instead string
}

// allowance permits words where they are right, such as in a quotation of a vendor's message.
type allowance struct {
	file, text string
	line       int
	used       bool
}

// parseVocabulary reads the three sections of vocabulary.txt, which describes their format.
func parseVocabulary(text string) (*vocabulary, error) {
	parsed := &vocabulary{}
	section, number := "", 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line
			continue
		}
		left, right, ok := strings.Cut(line, " => ")
		if !ok {
			return nil, fmt.Errorf("vocabulary.txt:%d: no \" => \" in %q", number, line)
		}
		left, right = strings.TrimSpace(left), strings.TrimSpace(right)
		switch section {
		case "[identifiers]", "[english]":
			english := section == "[english]"
			pattern, literals, err := compileWord(left, english)
			if err != nil {
				return nil, fmt.Errorf("vocabulary.txt:%d: %w", number, err)
			}
			parsed.words = append(parsed.words, &word{pattern, literals, english, right})
		case "[allowed]":
			parsed.allowed = append(parsed.allowed, &allowance{file: left, text: right, line: number})
		default:
			return nil, fmt.Errorf("vocabulary.txt:%d: unknown section %q", number, section)
		}
	}
	return parsed, nil
}

// compileWord returns the pattern for whole words, and its literals. English is found in any case.
func compileWord(expression string, english bool) (*regexp.Regexp, []string, error) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, nil, err
	}
	flags := ""
	if english {
		flags = "(?i)"
	}
	pattern, err := regexp.Compile(flags + `\b(?:` + expression + `)\b`)
	return pattern, requiredLiterals(parsed), err
}

// requiredLiterals returns texts of which every match contains one, in lower case. It returns nil if it finds none.
func requiredLiterals(expression *syntax.Regexp) []string {
	switch expression.Op {
	case syntax.OpLiteral:
		parts := strings.FieldsFunc(strings.ToLower(string(expression.Rune)), func(r rune) bool { return r < 'a' || r > 'z' })
		if len(parts) == 0 {
			return nil
		}
		return []string{slices.MaxFunc(parts, func(a, b string) int { return cmp.Compare(len(a), len(b)) })}
	case syntax.OpCapture, syntax.OpPlus:
		return requiredLiterals(expression.Sub[0])
	case syntax.OpConcat:
		var best []string
		for _, part := range expression.Sub {
			if literals := requiredLiterals(part); shortest(literals) > shortest(best) {
				best = literals
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, alternative := range expression.Sub {
			literals := requiredLiterals(alternative)
			if literals == nil {
				return nil
			}
			all = append(all, literals...)
		}
		return all
	}
	return nil
}

// shortest returns the length of the shortest text, or 0 if there is none.
func shortest(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	return len(slices.MinFunc(texts, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
}

// words is a list of words.
type words []*word

// mentionedIn returns the words that may match a text, which is in lower case. Searching for literals first is
// many times faster than matching all patterns.
func (w words) mentionedIn(lower string) words {
	var mentioned words
	for _, candidate := range w {
		if candidate.literals == nil || slices.ContainsFunc(candidate.literals, func(literal string) bool {
			return strings.Contains(lower, literal)
		}) {
			mentioned = append(mentioned, candidate)
		}
	}
	return mentioned
}

// check returns what a file contains of the words, each line once for each word. A phrase that continues on the
// next line is found too, and reported where it begins.
func (v *vocabulary) check(file, content string) []finding {
	words := v.words.mentionedIn(strings.ToLower(content))
	if len(words) == 0 {
		return nil
	}
	lines := strings.Split(content, "\n")
	var findings []finding
	for i, line := range lines {
		next := ""
		if i+1 < len(lines) {
			next = continuation.ReplaceAllString(lines[i+1], "")
		}
		line = strings.TrimRight(line, " \t\r")
		mentioned := words.mentionedIn(strings.ToLower(line + " " + next))
		if len(mentioned) == 0 {
			continue
		}
		split, splitNext := splitIdentifiers(line), splitIdentifiers(next)
		for _, w := range mentioned {
			found := w.find(line, split, splitNext)
			if found == "" || v.allows(file, line, next) {
				continue
			}
			findings = append(findings, finding{file, i + 1, fmt.Sprintf("%q: instead: %s", found, w.instead)})
		}
	}
	return findings
}

// continuation matches what precedes the text of a line: indentation and the comment or quotation mark.
var continuation = regexp.MustCompile(`^\s*(?://|#|>)?\s*`)

// find returns what a line contains of the word, or begins and the next line continues. split and splitNext are
// the line and the next one with the words of identifiers separated.
func (w *word) find(line, split, splitNext string) string {
	if found := w.pattern.FindString(line); found != "" || !w.english {
		return found
	}
	if found := w.pattern.FindString(split); found != "" {
		return found
	}
	joined := split + " " + splitNext
	if at := w.pattern.FindStringIndex(joined); len(at) == 2 && at[0] < len(split) && at[1] > len(split)+1 {
		return joined[at[0]:at[1]]
	}
	return ""
}

// boundary matches where one word of an identifier ends and the next begins.
var boundary = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Za-z])_([A-Za-z])|([A-Z])([A-Z][a-z])`)

// splitIdentifiers puts spaces between the words of identifiers: camelCase and snake_case.
func splitIdentifiers(line string) string {
	// Twice, since two boundaries can share the character between them.
	return boundary.ReplaceAllString(boundary.ReplaceAllString(line, "$1$3$5 $2$4$6"), "$1$3$5 $2$4$6")
}

// allows reports whether an allowance covers a line, and notes that the allowance is used.
func (v *vocabulary) allows(file, line, next string) bool {
	for _, allowed := range v.allowed {
		if match, err := path.Match(allowed.file, file); err == nil && match && strings.Contains(line+" "+next, allowed.text) {
			allowed.used = true
			return true
		}
	}
	return false
}

// unusedAllowances reports the allowances that no line needs.
func (v *vocabulary) unusedAllowances() []finding {
	var findings []finding
	for _, allowed := range v.allowed {
		if !allowed.used {
			findings = append(findings, finding{"scripts/lint/vocabulary.txt", allowed.line, "no line needs this allowance"})
		}
	}
	return findings
}
