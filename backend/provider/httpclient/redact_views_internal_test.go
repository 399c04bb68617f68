package httpclient

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A short run of an alphabet's characters is an ordinary word: what it would decode to could complete a secret by chance.
func TestDecode_ShortRuns_AreSkipped(t *testing.T) {
	for text, want := range map[string]string{
		"4142434":           "",
		"41424344":          "ABCD",
		"zz 4142 zz 414243": "",
		"4142 41424344":     "ABCD",
		"41424344 4142":     "ABCD",
		"z4142434445z":      "ABCDE",
	} {
		require.Equal(t, want, string(newView(text).decode(hexAlphabet, 0).text), text)
	}
}

// comparedTexts returns the texts that are compared with secrets.
func comparedTexts(text string) (texts []string, complete bool) {
	complete = eachView(text, func(v view) { texts = append(texts, string(v.text)) })
	return texts, complete
}

func TestEachView_NestedEncodings_AreBounded(t *testing.T) {
	nested := "a secret"
	for depth := 1; depth <= maxDecodings+1; depth++ {
		nested = hex.EncodeToString([]byte(nested))
		texts, complete := comparedTexts(nested)
		require.True(t, complete)
		if depth <= maxDecodings {
			require.Contains(t, texts, "asecret", depth)
		} else {
			require.NotContains(t, texts, "asecret", depth)
		}
	}
}

func TestEachView_MaximalSize_IsComplete(t *testing.T) {
	for length, want := range map[int]bool{maxViewBytes: true, maxViewBytes + 1: false} {
		_, complete := comparedTexts(strings.Repeat(" ", length))
		require.Equal(t, want, complete, length)
	}
}

// A plus can be a space, and what looks like quoted-printable can be the text itself.
func TestUnescapedViews_EachReading_OccursOnce(t *testing.T) {
	for text, want := range map[string][]string{
		"plain":      {"plain"},
		"a+b=41c":    {"a+b=41c", "a b=41c", "a+bAc"},
		"%2541":      {"%2541", "%41", "A"},
		"a+b":        {"a+b", "a b"},
		"=41\\u0042": {"=41\\u0042", "=41B", "A\\u0042", "AB"},
	} {
		var got []string
		for _, v := range unescapedViews(newView(text)) {
			got = append(got, string(v.text))
		}
		require.Equal(t, want, got, text)
	}
}

// What is not UTF-8 belongs to the text, but in what was decoded it stands between the characters.
func TestStripped_InvalidBytes_AreNoiseOnceDecoded(t *testing.T) {
	for _, fold := range []bool{false, true} {
		var v view
		v.append([]byte("a\xffb\uFFFDc\x00d"), 0, 1)
		require.Equal(t, "a\xffb\uFFFDcd", string(v.stripped(fold).text))
		v.decoded = true
		require.Equal(t, "ab\uFFFDcd", string(v.stripped(fold).text))
	}
}
