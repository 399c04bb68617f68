package trend_test

import (
	"encoding/json"
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func FuzzAnswers(f *testing.F) {
	suite().Fuzz(f, providertest.Fuzzing{
		Seeds: []string{
			`{"ID":2,"keyName":"va-edge-reader-00000000000000000000000000000001","secretKey":"2:c2VjcmV0","active":true,"expiryDate":1767334985000}`,
			`{"ID":2,"secretKey":"2:c2VjcmV0","expiryDate":9223372036854775807}`,
			`{"ID":2,"secretKey":"2:c2VjcmV0","expiryDate":-1}`,
			`{"ID":2,"keyName":"x","active":false}`,
			`{"apiKeys":[{"ID":2,"keyName":"va-edge-reader-00000000000000000000000000000001","expiryDate":1767334985000}]}`,
			`{"apiKeys":null}`,
			`{"ID":1,"roleURN":"urn:tmds:identity:us-east-1:1:role/Full Access","tenantID":7,"tenantGUID":"§","cloudOneAccountID":""}`,
		},
		Gone: func(operation string, status int, body string) bool {
			switch operation {
			case "deleteApiKey":
				return status < 300 || status == 404 || status == 410
			case "describeApiKey":
				return status == 404 || status == 410
			case "searchApiKeys":
				return status < 300 && json.Valid([]byte(body))
			}
			return false
		},
	})
}
