package trend

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// defaultMaxItems is the documented default and maximum of maxItems.
const defaultMaxItems = 5000

// searchRequest is the body of a search. An item must meet all criteria.
type searchRequest struct {
	MaxItems *int        `json:"maxItems"`
	SortByID bool        `json:"sortByObjectID"`
	Criteria []criterion `json:"searchCriteria"`
}

// criterion is one condition. Its members determine its kind. There is no versionTest, since keys and roles have
// no field for it.
type criterion struct {
	FieldName string `json:"fieldName"`

	StringTest      string  `json:"stringTest"`
	StringValue     *string `json:"stringValue"`
	StringWildcards *bool   `json:"stringWildcards"`

	NumericTest  string `json:"numericTest"`
	NumericValue *int64 `json:"numericValue"`

	BooleanTest *bool `json:"booleanTest"`

	ChoiceTest  string  `json:"choiceTest"`
	ChoiceValue *string `json:"choiceValue"`

	FirstDate          *int64 `json:"firstDateValue"`
	FirstDateInclusive *bool  `json:"firstDateInclusive"`
	LastDate           *int64 `json:"lastDateValue"`
	LastDateInclusive  *bool  `json:"lastDateInclusive"`

	NullTest *bool `json:"nullTest"`

	IDTest  string `json:"idTest"`
	IDValue *int64 `json:"idValue"`
}

// object is a searchable item: string, int64, bool, time.Time or nil values by the name of the member.
type object map[string]any

// fields returns the searchable members of a key.
func (k *key) fields() object {
	return object{
		"ID": int64(k.id), "keyName": k.name, "description": k.description, "locale": k.locale,
		"roleID": int64(k.role), "timeZone": k.timeZone, "active": k.active, "created": k.created,
		"lastSignIn": orNil(k.lastSignIn), "unlockTime": orNil(k.unlock), "expiryDate": orNil(k.expires),
		"unsuccessfulSignInAttempts": int64(k.failures), "serviceAccount": false,
	}
}

// fields returns the searchable members of a role.
func (r *role) fields() object {
	return object{
		"ID": int64(r.ID), "name": r.Name, "description": r.Description, "urn": r.URN, "immutable": r.Immutable,
		"allComputers": r.AllComputers, "allPolicies": r.AllPolicies,
		"allowUserInterface": r.AllowInterface, "allowWebService": r.AllowWebService,
	}
}

func orNil(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at
}

// searchKeys answers POST /apikeys/search.
func (svc *service) searchKeys(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewKeys, cannotViewKeys) {
		return
	}
	found, refused := search(svc, c.body, svc.keys, (*key).fields)
	if refused.write(w) {
		return
	}
	shown := make([]view, 0, len(found))
	for _, k := range found {
		shown = append(shown, svc.show(k))
	}
	svc.writeFound(w, "apiKeys", shown, len(shown))
}

// searchRoles answers POST /roles/search.
func (svc *service) searchRoles(w http.ResponseWriter, c call) {
	if !allowed(w, c, rightViewRoles, cannotViewRoles) {
		return
	}
	found, refused := search(svc, c.body, svc.roles, (*role).fields)
	if !refused.write(w) {
		svc.writeFound(w, "roles", found, len(found))
	}
}

// writeFound answers a search. The switch search_without_match determines the form of an empty result.
func (svc *service) writeFound(w http.ResponseWriter, member string, found any, count int) {
	body := map[string]any{member: found}
	switch shape := svc.env.Switch(switchNoMatch); {
	case count == 0 && shape == "null":
		body[member] = nil
	case count == 0 && shape == "missing":
		body = map[string]any{}
	}
	emulator.WriteJSON(w, http.StatusOK, body)
}

// search returns the items that meet all criteria. Without sortByObjectID it returns the newest first, so that a
// client that assumes ascending IDs fails.
func search[T any](svc *service, body []byte, items []T, fields func(T) object) ([]T, refusal) {
	var request searchRequest
	if err := readObject(body, &request); err != nil {
		return nil, bad("The search filter is malformed")
	}
	limit := defaultMaxItems
	if request.MaxItems != nil {
		limit = *request.MaxItems
	}
	if limit < 1 || limit > defaultMaxItems {
		return nil, bad("maxItems is out of range")
	}
	if most := svc.env.Integer(switchSearchMaximum); most > 0 {
		limit = min(limit, most)
	}
	var found []T
	for _, item := range items {
		matched := true
		for _, condition := range request.Criteria {
			ok, err := svc.meets(condition, fields(item))
			if err != nil {
				return nil, bad(err.Error())
			}
			matched = matched && ok
		}
		if matched {
			found = append(found, item)
		}
	}
	id := func(item T) int64 { number, _ := fields(item)["ID"].(int64); return number }
	slices.SortFunc(found, func(a, b T) int {
		if request.SortByID {
			return cmp.Compare(id(a), id(b))
		}
		return cmp.Compare(id(b), id(a))
	})
	return found[:min(limit, len(found))], refusal{}
}

// meets reports whether an object meets one criterion.
func (svc *service) meets(c criterion, o object) (bool, error) {
	if c.IDValue != nil {
		return compare(c.IDTest, o["ID"], *c.IDValue)
	}
	value, known := o[c.FieldName]
	if !known {
		return false, fmt.Errorf("fieldName %q is unknown", c.FieldName)
	}
	switch {
	case c.NullTest != nil:
		return (value == nil) == *c.NullTest, nil
	case c.StringValue != nil:
		return svc.matches(c, value)
	case c.NumericValue != nil:
		return compare(c.NumericTest, value, *c.NumericValue)
	case c.BooleanTest != nil:
		return value == *c.BooleanTest, nil
	case c.ChoiceValue != nil:
		return negated(c.ChoiceTest, value == *c.ChoiceValue)
	case c.FirstDate != nil || c.LastDate != nil:
		at, ok := value.(time.Time)
		return ok && c.within(at.UnixMilli()), nil
	}
	return false, fmt.Errorf("the criterion for %q has no test", c.FieldName)
}

// matches applies a string test. % and _ are wildcards unless stringWildcards is false.
func (svc *service) matches(c criterion, value any) (bool, error) {
	text, ok := value.(string)
	if !ok {
		return false, fmt.Errorf("%q is not text", c.FieldName)
	}
	wanted := *c.StringValue
	if svc.env.Switch(switchSearchCase) == "insensitive" {
		text, wanted = strings.ToLower(text), strings.ToLower(wanted)
	}
	if c.StringWildcards != nil && !*c.StringWildcards {
		return negated(c.StringTest, text == wanted)
	}
	return negated(c.StringTest, like([]rune(text), []rune(wanted)))
}

// negated applies the test equal, which is the default, or not-equal.
func negated(test string, equal bool) (bool, error) {
	switch test {
	case "", "equal":
		return equal, nil
	case "not-equal":
		return !equal, nil
	}
	return false, fmt.Errorf("test %q is unknown", test)
}

// like reports whether text matches pattern. % matches any run of characters, and _ matches one character.
func like(text, pattern []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '%' {
		for i := range len(text) + 1 {
			if like(text[i:], pattern[1:]) {
				return true
			}
		}
		return false
	}
	return len(text) > 0 && (pattern[0] == '_' || pattern[0] == text[0]) && like(text[1:], pattern[1:])
}

// compare applies a numeric test.
func compare(test string, value any, with int64) (bool, error) {
	number, ok := value.(int64)
	if !ok {
		return false, fmt.Errorf("the value is not a number")
	}
	switch test {
	case "less-than":
		return number < with, nil
	case "less-than-or-equal":
		return number <= with, nil
	case "", "equal":
		return number == with, nil
	case "greater-than-or-equal":
		return number >= with, nil
	case "greater-than":
		return number > with, nil
	case "not-equal":
		return number != with, nil
	}
	return false, fmt.Errorf("test %q is unknown", test)
}

// within applies a range of dates. That the range includes its ends by default is inferred.
func (c criterion) within(at int64) bool {
	if c.FirstDate != nil && (at < *c.FirstDate || at == *c.FirstDate && c.FirstDateInclusive != nil && !*c.FirstDateInclusive) {
		return false
	}
	return c.LastDate == nil || at < *c.LastDate || at == *c.LastDate && (c.LastDateInclusive == nil || *c.LastDateInclusive)
}
