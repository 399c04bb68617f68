package fortisiem_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
)

func TestUse_AnyAnswer_ReportsIfTokenIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		status   int // of the answer; 0 means the product's own
		accepted bool
		class    provider.Class // of the error; 0 means none
	}{
		"accepted":     {0, true, 0},
		"unauthorized": {http.StatusUnauthorized, false, 0},
		"forbidden":    {http.StatusForbidden, false, 0},
		"no answer":    {http.StatusServiceUnavailable, false, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			connection := a.open(nil)
			credential := a.issue(connection)
			if c.status != 0 {
				a.InjectFault(emulator.Fault{Route: "health_summary", Status: c.status})
			}
			accepted, err := connection.(provider.User).Use(t.Context(), credential)
			require.Equal(t, c.accepted, accepted)
			if c.class == 0 {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.class, refusal(t, err).Class)
		})
	}
}

func TestInspect_TokenSubject_IsClassified(t *testing.T) {
	for name, c := range map[string]struct {
		switches []string
		facts    map[string]string
	}{
		"client id": {nil, map[string]string{"token_subject": "client_id"}},
		"owner":     {[]string{"token_subject", "owner"}, map[string]string{"token_subject": "another name"}},
		"no JWT":    {[]string{"token_form", "opaque", "expires_in_unit", "seconds"}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, c.switches...)
			connection := a.open(nil)
			credential := a.issue(connection)
			sent := len(a.Requests("fortisiem"))
			facts, err := connection.(provider.Inspector).Inspect(t.Context(), credential)
			require.NoError(t, err)
			require.Equal(t, c.facts, facts)
			require.Len(t, a.Requests("fortisiem"), sent, "it reads the token only")
		})
	}
}

func TestProbeFacts_LoginAnswer_IsObserved(t *testing.T) {
	for name, c := range map[string]struct {
		switches []string
		want     map[string]string
	}{
		"JWT": {nil, map[string]string{
			"answer_names": "access_token", "token_form": "jwt", "token_claims": "jwt(exp,jti,scope,sub)", "json_content_type": "application/json",
		}},
		"opaque, other names": {[]string{"token_form", "opaque", "answer_names", "spare"}, map[string]string{
			"answer_names": "token", "token_form": "opaque", "token_claims": "opaque", "json_content_type": "application/json",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, c.switches...)
			answers := &provider.AnswerLog{}
			_, err := a.open(nil).Issue(provider.WithAnswerLog(t.Context(), answers), request)
			require.NoError(t, err)
			observed := map[string]string{}
			for _, fact := range fortisiem.New().(provider.Prober).ProbeFacts() {
				if _, wanted := c.want[fact.Name]; wanted {
					observed[fact.Name] = fact.Observe(provider.Observation{Answers: answers.Answers()})
					require.Empty(t, fact.Observe(provider.Observation{}), "without an answer")
				}
			}
			require.Equal(t, c.want, observed)
		})
	}
}
