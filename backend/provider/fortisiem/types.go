package fortisiem

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// tokenType is the documented token_type. It is used for an answer without one.
const tokenType = "Bearer"

// tokenAnswer is the answer of the token endpoint. The schema requires access_token and expires_in, an integer. A refresh
// token is documented to be absent. That grant=refresh_token may return one is inferred. Published clients also know the
// names token and expiresIn, which is in minutes.
type tokenAnswer struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in"`
	RefreshToken string          `json:"refresh_token"`

	Token          string          `json:"token"`
	ExpiresMinutes json.RawMessage `json:"expiresIn"`
}

// normalize copies the spare names of an answer to the documented ones that it does not have. minutes is true if the
// lifetime is in minutes, whatever the documented unit is.
func (a *tokenAnswer) normalize() (minutes bool) {
	if a.AccessToken == "" {
		a.AccessToken = a.Token
	}
	if number(a.ExpiresIn) == 0 && number(a.ExpiresMinutes) > 0 {
		a.ExpiresIn = a.ExpiresMinutes
		return true
	}
	return false
}

// number returns a JSON number, also one in quotes. It returns zero for anything else, since an invalid lifetime must not
// make the whole answer unreadable.
func number(raw json.RawMessage) float64 {
	value, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err == nil && value >= 0 && value <= maxExpiresIn {
		return value
	}
	return 0
}

// maxExpiresIn is larger than any plausible lifetime in any unit.
const maxExpiresIn = 1 << 31

// errorText returns the vendor's message in the body of an error, {"error","message"}. It returns "" for any other
// body.
func errorText(body []byte) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Message
}

// handleVersion is the version of the layout of handle.
const handleVersion = 1

// handle is what a revocation needs. It holds the token even if the config has no revoke_url, so that a revoke_url that is
// set later also applies to existing leases. Vault stores the token in the lease in any case.
type handle struct {
	Version int    `json:"v"`
	Token   string `json:"token"`
}

// newHandle returns the handle of a token.
func newHandle(token string) json.RawMessage {
	encoded, err := json.Marshal(handle{Version: handleVersion, Token: token})
	if err != nil {
		panic("fortisiem: a handle cannot be written as JSON: " + err.Error()) // impossible for a number and a string
	}
	return encoded
}

// parseHandle returns the token of a handle. The error is ClassInvalid.
func parseHandle(raw json.RawMessage) (string, error) {
	parsed, err := provider.ParseHandle(opRevoke, raw, handleVersion, func(h handle) bool { return h.Token != "" })
	if failure, ok := errors.AsType[*provider.Error](err); ok {
		failure.Class = provider.ClassInvalid
	}
	return parsed.Token, err
}
