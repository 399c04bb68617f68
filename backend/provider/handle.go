package provider

import "encoding/json"

// ParseHandle decodes a [Credential.Handle]: a JSON object whose member "v" is the version of its layout, and
// whose other members are those of T. usable reports whether the decoded handle holds all that the driver
// needs; nil accepts every handle of that version. op is the beginning of the error's text, such as the
// vendor's name.
//
// An error is an [*Error] of ClassUnknown, since the engine stored the handle and the driver wrote it. It
// quotes nothing of the handle, which holds a secret.
func ParseHandle[T any](op string, raw json.RawMessage, version int, usable func(T) bool) (T, error) {
	var (
		layout struct {
			Version int `json:"v"`
		}
		parsed, none T
	)
	if json.Unmarshal(raw, &layout) != nil || layout.Version != version ||
		json.Unmarshal(raw, &parsed) != nil || usable != nil && !usable(parsed) {
		return none, &Error{Op: op, Message: "the stored handle of the credential cannot be understood"}
	}
	return parsed, nil
}
