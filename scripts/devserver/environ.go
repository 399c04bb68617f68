package devserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// Environ returns the environment variables that the pages under docs/vendors expect: <VENDOR>_ADDRESS,
// <VENDOR>_AUTH_ADDRESS, <VENDOR>_<FIELD> for each field of the root credential and of the login from which it can be
// created, EMULATOR_CA, and TREND_MANAGEMENT_ROLE_ID.
func (s State) Environ() []string {
	env := []string{"EMULATOR_CA=" + s.CACertFile}
	for _, name := range slices.Sorted(maps.Keys(s.Vendors)) {
		vendor, prefix := s.Vendors[name], strings.ToUpper(name)+"_"
		env = append(env, prefix+"ADDRESS="+vendor.URL)
		if vendor.AuthURL != "" {
			env = append(env, prefix+"AUTH_ADDRESS="+vendor.AuthURL)
		}
		for _, fields := range []map[string]string{vendor.Credentials, vendor.Login} {
			for _, field := range slices.Sorted(maps.Keys(fields)) {
				env = append(env, prefix+strings.ToUpper(field)+"="+fields[field])
			}
		}
	}
	if _, served := s.Vendors["trend"]; served {
		env = append(env, fmt.Sprintf("TREND_MANAGEMENT_ROLE_ID=%v", vendorfacts.Named("trend").Bootstrap["bootstrap_role_id"]))
	}
	return env
}
