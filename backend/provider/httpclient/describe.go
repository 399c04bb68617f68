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
	// maxMembers bounds how many members of a body are described, and maxDepth how deep they are. maxVisited bounds how
	// many are looked at: those whose names are data have one description for all.
	maxMembers = 60
	maxDepth   = 5
	maxVisited = 5 * maxMembers

	// maxShownDigits is how many digits a number has that is shown. A longer one is an ID, or makes the description long.
	maxShownDigits = 12
)

// memberName matches the names of members that are shown. A name that is data, such as a host, does not match.
var memberName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,39}$`)

// dataName matches names that have the form of a member's name and are data: an ID, a token, or a host with its number.
var dataName = regexp.MustCompile(`^.{20,}[0-9]|[0-9].{20,}$|[0-9].*[0-9].*[0-9].*[0-9]`)

// shownMediaType matches the media types that are shown.
var shownMediaType = regexp.MustCompile(`^[a-z]{1,20}/[a-z.+-]{1,40}$`)

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
	d := &description{members: map[string]string{}, left: maxVisited}
	d.needles, d.showsNames = allNeedles(response.request.Secrets)
	answer := provider.Answer{Op: response.request.Op, Method: method, Status: response.Status, Members: d.members}
	if len(response.Body) > 0 {
		answer.MediaType = d.mediaType(response.Header.Get("Content-Type"))
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
		d.add("", "", content, 0)
	case len(response.Body) > 0:
		answer.Members["body"] = "text"
	}
	log.Add(answer)
}

// description is the description of a body while it is made.
type description struct {
	members map[string]string
	// needles are those of the secrets of the request. showsNames is false if they cannot be searched: nothing that the
	// server has chosen is shown then.
	needles    []needle
	showsNames bool
	// left is how many more values are looked at.
	left int
}

// shows reports whether a text of the server can be shown: it has no part of a secret of the request.
func (d *description) shows(text string) bool {
	return d.showsNames && hideNeedles(text, d.needles) == text
}

// mediaType returns the media type of a header, or "other" for one that can hold anything else.
func (d *description) mediaType(header string) string {
	found, _, err := mime.ParseMediaType(header)
	switch {
	case err != nil || found == "":
		return ""
	case shownMediaType.MatchString(found) && d.shows(found):
		return found
	}
	return "other"
}

// add adds the description of a JSON value. path is its place in the body, and name the last part of it that is a member's
// name.
func (d *description) add(path, name string, value any, depth int) {
	if d.left--; d.left < 0 || len(d.members) >= maxMembers {
		return
	}
	set := func(description string) {
		if path == "" {
			path = "body"
		}
		d.members[path] = description
	}
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 || depth == maxDepth {
			set("object")
			return
		}
		for _, member := range slices.Sorted(maps.Keys(value)) {
			if d.left <= 0 {
				return
			}
			shown := d.memberName(member)
			d.add(join(path, shown), shown, value[member], depth+1)
		}
	case []any:
		if len(value) == 0 || depth == maxDepth {
			set("list")
			return
		}
		d.add(join(path, "0"), name, value[0], depth+1)
	case nil:
		set("null")
	case bool:
		set(strconv.FormatBool(value))
	case json.Number:
		set(d.number(name, value.String()))
	case string:
		set(d.text(name, value))
	}
}

// memberName returns the name of a member as it is shown: "other" for one that is data.
func (d *description) memberName(name string) string {
	if memberName.MatchString(name) && !dataName.MatchString(name) && d.shows(name) {
		return name
	}
	return "other"
}

// number describes a number.
func (d *description) number(name, number string) string {
	if shownNumber.MatchString(name) && len(number) <= maxShownDigits && d.shows(number) {
		return number
	}
	return "number"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// text describes a text by its kind.
func (d *description) text(name, text string) string {
	switch {
	case text == "":
		return "empty"
	case name == "token_type" && shownText.MatchString(text) && d.shows(text):
		return text
	}
	if claims, ok := d.claimNames(text); ok {
		return fmt.Sprintf("jwt(%s)", strings.Join(claims, ","))
	}
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return "time"
	}
	return "string"
}

// maxClaims bounds how many claims of a JWT are named.
const maxClaims = 20

// claimNames returns the names of the claims of a JWT, without their values.
func (d *description) claimNames(text string) ([]string, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil, false
	}
	all := slices.Sorted(maps.Keys(claims))
	names := slices.DeleteFunc(all[:min(len(all), maxMembers)], func(name string) bool { return d.memberName(name) != name })
	return names[:min(len(names), maxClaims)], true
}
