package ftd

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTokenID_ClaimOrNone_IsReturned(t *testing.T) {
	jwt := func(payload string) string {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(payload)) + ".c2lnbmF0dXJl"
	}
	for token, want := range map[string]string{
		jwt(`{"jti":"3f2b-1","sub":"va-1","refreshCount":-1}`): "3f2b-1",
		jwt(`{"jti":"default"}`):                               "",
		jwt(`{"jti":".."}`):                                    "",
		jwt(`{"jti":7}`):                                       "",
		jwt(`{}`):                                              "",
		jwt(`[]`):                                              "",
		"opaque":                                               "",
		"":                                                     "",
		"a.b.c":                                                "",
	} {
		assert.Equal(t, want, tokenID(token), token)
	}
}
