package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// scenario shows one vendor, from the root credential to the end of a leased one. It is for one goroutine.
type scenario struct {
	*shell
	vendor vendor
	// issued, renewed and revoked count leases, and verified lists the statements that were verified.
	issued, renewed, revoked int
	verified                 []string
	// earlier is the number of credentials that the vendor had issued before the lease, for the engine itself.
	earlier int
	// leaseID is the lease, and credential the data of the read that created it.
	leaseID    string
	credential map[string]any
}

// run runs all steps and stops at the first failure.
func (s *scenario) run(ctx context.Context) error {
	printf(s.out, "\n──── %s (vendor=%s) ────\n", s.vendor.Product, s.vendor.Name)
	for _, step := range []func(context.Context) error{s.configure, s.readBack, s.issue, s.renew, s.revoke, s.showVendor} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// verify prints and counts a statement that holds, and fails when it does not.
func (s *scenario) verify(holds bool, statement string) error {
	if !holds {
		return fmt.Errorf("not true: %s", statement)
	}
	s.verified = append(s.verified, statement)
	printf(s.out, "✓ %s\n", statement)
	return nil
}

// explain prints the sentence before a step.
func (s *scenario) explain(sentence string) { printf(s.out, "\n# %s\n", sentence) }

// configure writes the config and the role.
func (s *scenario) configure(ctx context.Context) error {
	state := s.server.Emulator()
	served, ok := state.Vendors[s.vendor.Name]
	if !ok {
		return errors.New("the emulator does not serve this vendor: run `make build`")
	}
	s.explain("Store the root credential. Before it is stored, Vault verifies it with a login at the vendor.")
	arguments := words("write", s.server.MountPath()+"/config/"+s.vendor.configName(), "vendor="+s.vendor.Name, "address="+served.URL)
	if served.AuthURL != "" {
		arguments = append(arguments, words("auth_address="+served.AuthURL)...)
	}
	if state.CACertFile != "" {
		arguments = append(arguments, words("ca_cert=@"+state.CACertFile)...)
	}
	for _, field := range slices.Sorted(maps.Keys(served.Credentials)) {
		arguments = append(arguments, argument{text: field + "=" + served.Credentials[field], secret: true})
	}
	if _, err := s.vault(ctx, arguments...); err != nil {
		return err
	}

	s.explain("Write a role: which config it uses, and how long its credentials live.")
	role := []string{"write", s.server.MountPath() + "/roles/" + s.vendor.roleName()}
	_, err := s.vault(ctx, words(append(role, s.vendor.roleFields()...)...)...)
	return err
}

// readBack verifies that reading the config returns no secret.
func (s *scenario) readBack(ctx context.Context) error {
	s.explain("Read the config. The answer leaves out the secrets.")
	answer, err := s.vault(ctx, words("read", s.server.MountPath()+"/config/"+s.vendor.configName())...)
	if err != nil {
		return err
	}
	for field, value := range s.server.Emulator().Vendors[s.vendor.Name].Credentials {
		if vendorfacts.SecretField(field) && strings.Contains(answer.stdout+answer.stderr, value) {
			return fmt.Errorf("reading the config returns its %s", field)
		}
	}
	return s.verify(true, "reading the config returns no secret of the root credential")
}

// issue leases a credential and uses it.
func (s *scenario) issue(ctx context.Context) error {
	earlier, err := s.server.Control().Credentials(ctx, s.vendor.Name)
	if err != nil {
		return err
	}
	s.earlier = len(earlier)
	s.explain("An application reads a credential. It gets its own, under a lease.")
	answer, err := s.vault(ctx, words("read", s.server.MountPath()+"/creds/"+s.vendor.roleName())...)
	if err != nil {
		return err
	}
	s.credential = parseTable(answer.stdout)
	s.leaseID, _ = s.credential["lease_id"].(string)
	for _, member := range []string{"lease_id", "token", "expires_at"} {
		if s.credential[member] == nil || s.credential[member] == "" {
			return fmt.Errorf("the answer has no %s", member)
		}
	}
	s.issued++
	renewable := fmt.Sprint(s.vendor.Renewable())
	if err := s.verify(s.credential["lease_renewable"] == renewable, "the answer says lease_renewable="+renewable); err != nil {
		return err
	}
	if !s.vendor.Revokes {
		if err := s.verify(strings.Contains(answer.stderr, "WARNING"), "the answer warns that revoking the lease does not end the token"); err != nil {
			return err
		}
	}
	s.explain("The application uses the credential at the vendor.")
	return s.use(ctx, vendorfacts.Accepted, "the vendor accepts the credential")
}

// use sends a request with the credential to the vendor, and verifies the vendor's verdict.
func (s *scenario) use(ctx context.Context, want vendorfacts.Verdict, statement string) error {
	client, err := trusting(s.server.Emulator())
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	request, err := s.vendor.Request(ctx, s.credential)
	if err != nil {
		return fmt.Errorf("use the credential: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("use the credential: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("use the credential: %w", err)
	}
	verdict := s.vendor.Judge(response.StatusCode, body)
	printf(s.out, "%s %s with the credential: %s, %s\n", request.Method, request.URL, response.Status, verdict)
	return s.verify(verdict == want, statement)
}

// trusting returns a client that trusts the emulator's CA and no other.
func trusting(state devserver.State) (*http.Client, error) {
	pool := x509.NewCertPool()
	if state.CACertFile != "" {
		pem, err := state.CACert()
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM([]byte(pem)) {
			return nil, fmt.Errorf("%s holds no certificate", state.CACertFile)
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}, nil
}

// renew renews the lease, or verifies that the renewal is refused.
func (s *scenario) renew(ctx context.Context) error {
	if !s.vendor.Renewable() {
		s.explain("This vendor's API cannot extend a credential, so the lease is not renewable.")
		_, err := s.vault(ctx, words("lease", "renew", s.leaseID)...)
		if err != nil && !errors.Is(err, errCommand) {
			return err
		}
		return s.verify(errors.Is(err, errCommand), "Vault refuses the renewal")
	}
	s.explain("The application renews the lease to keep the credential.")
	if _, err := s.vault(ctx, words("lease", "renew", s.leaseID)...); err != nil {
		return err
	}
	s.renewed++
	return s.use(ctx, vendorfacts.Accepted, "the vendor accepts the credential after the renewal")
}

// revoke revokes the lease, and verifies what that does to the credential.
func (s *scenario) revoke(ctx context.Context) error {
	s.explain("The application has finished, or an operator stops it: the lease is revoked.")
	if _, err := s.vault(ctx, words("lease", "revoke", "-sync", s.leaseID)...); err != nil {
		return err
	}
	if s.vendor.Revokes {
		s.revoked++
		s.explain("The vendor has revoked the credential, too.")
		return s.use(ctx, vendorfacts.Refused, "the vendor refuses the revoked credential")
	}
	s.explain("This vendor's API cannot revoke a credential. The lease has ended, but the token works until it expires, as the warning said.")
	if err := s.use(ctx, vendorfacts.Accepted, "the token works after its lease has ended, as the warning said"); err != nil {
		return err
	}
	s.explain(fmt.Sprintf("For this reason the token is short-lived. The emulator's clock is advanced by %s.", longestLife))
	if err := s.server.Control().Advance(ctx, longestLife+time.Minute); err != nil {
		return err
	}
	return s.use(ctx, vendorfacts.Refused, "the vendor refuses the expired token")
}

// showVendor prints the vendor's record of its credentials, and verifies how the leased one ended.
func (s *scenario) showVendor(ctx context.Context) error {
	s.explain("The vendor's own record:")
	credentials, err := s.server.Control().Credentials(ctx, s.vendor.Name)
	if err != nil {
		return err
	}
	// A vendor that may issue one token only gives the lease the token that the check of the config has obtained.
	first := s.earlier
	if first > 0 && len(credentials) == first {
		first--
	}
	leased, allEnded := 0, true
	for i, c := range credentials {
		end := "live"
		if !c.Live {
			end = c.EndedBy + " " + c.EndedAt.UTC().Format(time.TimeOnly)
		}
		holder := "the lease"
		switch {
		case c.Kind != "leased":
			holder = "the engine's own session"
		case i < first:
			holder = "the check of the config"
		default:
			leased++
			allEnded = allEnded && !c.Live && c.EndedBy == s.vendor.EndedBy()
		}
		printf(s.out, "%s\n", strings.TrimSpace(fmt.Sprintf("%-24s  issued %s  %-16s  %s",
			holder, c.IssuedAt.UTC().Format(time.TimeOnly), end, c.Marker)))
	}
	return s.verify(leased == s.issued && allEnded,
		fmt.Sprintf("the vendor issued %d credential for the lease, and it is %s", s.issued, s.vendor.EndedBy()))
}
