package lacework

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestErrorText_AnyBody_ReturnsMessageOrEmpty(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"Access Key is null."}`:                                  "Access Key is null.",
		`{"ok":false,"message":"FAILED","data":{"message":"inner"}}`:         "inner",
		`{"ok":false,"message":"FAILED","data":{"statusMessage":"inner"}}`:   "inner",
		`{"ok":false,"message":"FAILED","data":{"ErrorMsg":"inner"}}`:        "inner",
		`{"ok":false,"message":"FAILED","data":[{"message":"in an array"}]}`: "FAILED",
		`{"message":7}`: "",
		`plain`:         "",
		``:              "",
	} {
		assert.Equal(t, want, errorText([]byte(body)), body)
	}
}
