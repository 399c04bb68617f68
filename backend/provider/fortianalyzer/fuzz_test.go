package fortianalyzer

import (
	"encoding/json"
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func FuzzAnswers(f *testing.F) {
	suite().Fuzz(f, providertest.Fuzzing{
		Seeds: []string{
			`{"access_token":"acc","expires_in":3660,"status":"success"}`,
			`{"session":"ses"}`,
			`{"id":1,"result":[{"data":{},"status":{"code":0,"message":"OK"},"url":"/sys/logout"}]}`,
			`{"id":1,"result":[{"status":{"code":-11,"message":"No permission for the resource"}}]}`,
			`{"id":1,"result":[{"status":{}}]}`,
			`{"id":1,"result":[{"status":{"code":-3,"message":"§"}}]}`,
			`{"result":{"status":{"code":0}}}`,
			`{"error":"invalid_grant","error_description":"§"}`,
			`{"status":{"code":-22,"message":"§"}}`,
			`{"id":1,"result":[{"data":{"idle_timeout_api":900},"status":{"code":0,"message":"OK"}}]}`,
		},
		// A logout is confirmed by a code of 0 that is present in the answer. Code -11 also counts if a new session gets
		// another code; no single answer proves that.
		Gone: func(operation string, status int, body string) bool {
			var answer struct {
				Result []struct{ Status *struct{ Code *int } }
			}
			if status >= 300 || json.Unmarshal([]byte(body), &answer) != nil || len(answer.Result) == 0 {
				return false
			}
			confirmed := answer.Result[0].Status
			return operation == routeLogout && confirmed != nil && confirmed.Code != nil && *confirmed.Code == codeOK
		},
	})
}
