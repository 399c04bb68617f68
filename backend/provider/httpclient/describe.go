package httpclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// maxMembers bounds how many members of a body are described, and maxDepth how deep they are.
	maxMembers = 60
	maxDepth   = 5
)

// memberName matches the names of members that are shown. A name that is data, such as a host, does not match.
var memberName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,39}$`)

// shownNumber matches the names of members whose numbers are shown: lifetimes, codes and counts.
var shownNumber = regexp.MustCompile(`(?i)^(expires_?in|refresh_expires_in|status_code|code|count|limit|offset|idle_timeout_api|refreshCount)$`)

// shownText matches short texts of protocol members, which are shown.
var shownText = regexp.MustCompile(`^[A-Za-z]{1,12}$`)

// describe adds an answer to the log of the context, if there is one.
func (c *Client) describe(ctx context.Context, method string, response *Response) {
	log := provider.AnswerLogOf(ctx)
	if log == nil {
		return
	}
	answer := provider.Answer{Op: response.request.Op, Method: method, Status: response.Status, Members: map[string]string{}}
	if len(response.Body) > 0 {
		answer.MediaType, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type"))
	}
	for _, name := range []string{"Retry-After", "RateLimit-Reset"} {
		if response.Header.Get(name) != "" {
			answer.Members[name] = "present"
		}
	}
	var content any
	decoder := json.NewDecoder(strings.NewReader(string(response.Body)))
	decoder.UseNumber()
	switch err := decoder.Decode(&content); {
	case err == nil:
		describeValue(answer.Members, response.request.Secrets, "", "", content, 0)
	case len(response.Body) > 0:
		answer.Members["body"] = "text"
	}
	log.Add(answer)
}

// describeValue adds the description of a JSON value. path is its place in the body, and name the last part of it that
// is a member's name.
func describeValue(members map[string]string, secrets []string, path, name string, value any, depth int) {
	if len(members) >= maxMembers {
		return
	}
	set := func(description string) {
		if path == "" {
			path = "body"
		}
		members[path] = description
	}
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 || depth == maxDepth {
			set("object")
			return
		}
		for _, member := range slices.Sorted(maps.Keys(value)) {
			shown := member
			if !memberName.MatchString(member) || slices.Contains(secrets, member) {
				shown = "other"
			}
			describeValue(members, secrets, join(path, shown), shown, value[member], depth+1)
		}
	case []any:
		if len(value) == 0 || depth == maxDepth {
			set("list")
			return
		}
		describeValue(members, secrets, join(path, "0"), name, value[0], depth+1)
	case nil:
		set("null")
	case bool:
		set(strconv.FormatBool(value))
	case json.Number:
		if shownNumber.MatchString(name) {
			set(value.String())
			return
		}
		set("number")
	case string:
		set(describeText(name, value))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// describeText describes a text by its kind.
func describeText(name, text string) string {
	switch {
	case text == "":
		return "empty"
	case name == "token_type" && shownText.MatchString(text):
		return text
	}
	if claims, ok := claimNames(text); ok {
		return fmt.Sprintf("jwt(%s)", strings.Join(claims, ","))
	}
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return "time"
	}
	return "string"
}

// claimNames returns the names of the claims of a JWT, without their values.
func claimNames(text string) ([]string, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil, false
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(claims)), func(name string) bool { return !memberName.MatchString(name) })
	return names[:min(len(names), 20)], true
}
