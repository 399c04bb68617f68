package vendorfacts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Verdict is what a vendor's answer says about a credential.
type Verdict string

// The verdicts.
const (
	// Accepted: the vendor served the request.
	Accepted Verdict = "accepted"
	// Refused: the vendor does not accept the credential, or not any more.
	Refused Verdict = "refused"
	// Unclear: the request failed for a reason that says nothing about the credential.
	Unclear Verdict = "unclear"
)

// Request builds a request by which an application uses a credential. The request changes nothing at the vendor.
// credential is the data of a read of creds/<role>: address, token, token_type and the vendor's own members.
func (v Vendor) Request(ctx context.Context, credential map[string]any) (*http.Request, error) {
	for _, member := range []string{"address", "token"} {
		if text(credential, member) == "" {
			return nil, fmt.Errorf("%s: the credential has no %s", v.Name, member)
		}
	}
	return v.request(ctx, credential)
}

// Judge returns what an answer to [Vendor.Request] says about the credential.
func (v Vendor) Judge(status int, body []byte) Verdict { return v.judge(status, body) }

// Use sends [Vendor.Request] by client, which must trust the vendor's certificate, and judges the answer. It fails
// when no answer arrives.
func (v Vendor) Use(ctx context.Context, client *http.Client, credential map[string]any) (Verdict, error) {
	request, err := v.Request(ctx, credential)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	return v.Judge(response.StatusCode, body), nil
}

// bearerGet returns a builder of GET requests with the token as a bearer token, on a path below the address that came
// with the token.
func bearerGet(path string) func(context.Context, map[string]any) (*http.Request, error) {
	return func(ctx context.Context, credential map[string]any) (*http.Request, error) {
		request, err := get(ctx, credential, path)
		if err == nil {
			request.Header.Set("Authorization", text(credential, "token_type")+" "+text(credential, "token"))
		}
		return request, err
	}
}

// accountGet is bearerGet with the header that names the sub-account that a Lacework token acts in.
func accountGet(path string) func(context.Context, map[string]any) (*http.Request, error) {
	return func(ctx context.Context, credential map[string]any) (*http.Request, error) {
		request, err := bearerGet(path)(ctx, credential)
		if account := text(credential, "account_name"); err == nil && account != "" {
			request.Header.Set("Account-Name", account)
		}
		return request, err
	}
}

// keyGet returns a builder of GET requests with the token in the header that its token_type names. A client that
// knows the address and token alone sends the current api-version.
func keyGet(path string) func(context.Context, map[string]any) (*http.Request, error) {
	return func(ctx context.Context, credential map[string]any) (*http.Request, error) {
		request, err := get(ctx, credential, path)
		if err != nil {
			return nil, err
		}
		version := text(credential, "api_version")
		if version == "" {
			version = "v1"
		}
		request.Header.Set(text(credential, "token_type"), text(credential, "token"))
		request.Header.Set("api-version", version)
		return request, nil
	}
}

// get builds a GET request without a credential.
func get(ctx context.Context, credential map[string]any, path string) (*http.Request, error) {
	url := strings.TrimSuffix(text(credential, "address"), "/") + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// statusCall reads the system status by JSON-RPC, with the session in the body. A client that knows the address and
// token alone appends the documented path of the JSON-RPC interface.
func statusCall(ctx context.Context, credential map[string]any) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{
		"id": 1, "method": "get", "params": []any{map[string]any{"url": "/sys/status"}}, "session": credential["token"],
	})
	if err != nil {
		return nil, err
	}
	url := text(credential, "url")
	if url == "" {
		url = strings.TrimSuffix(text(credential, "address"), "/") + "/jsonrpc"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// byStatus returns a judge of HTTP statuses.
func byStatus(accepted []int, refused ...int) func(int, []byte) Verdict {
	return func(status int, _ []byte) Verdict {
		switch {
		case slices.Contains(accepted, status):
			return Accepted
		case slices.Contains(refused, status):
			return Refused
		}
		return Unclear
	}
}

// codeNoPermission is the JSON-RPC code of a session that has ended, and of a call without permission.
const codeNoPermission = -11

// byRPCCode judges the code in the body of a JSON-RPC answer, whose HTTP status is 200 in both cases.
func byRPCCode(status int, body []byte) Verdict {
	var answer struct {
		Result []struct {
			Status struct {
				Code *int `json:"code"`
			} `json:"status"`
		} `json:"result"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || len(answer.Result) != 1 || answer.Result[0].Status.Code == nil {
		return Unclear
	}
	switch *answer.Result[0].Status.Code {
	case 0:
		return Accepted
	case codeNoPermission:
		return Refused
	}
	return Unclear
}

// text returns a member that is a string, or "".
func text(credential map[string]any, member string) string {
	value, _ := credential[member].(string)
	return value
}
