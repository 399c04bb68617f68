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

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// account is what the demo did with one vendor.
type account struct {
	vendor                   vendor
	issued, renewed, revoked int
	verified                 []string
	// earlier is how many credentials the vendor had issued before the lease: the engine's own.
	earlier int
}

// check notes that something was verified, or fails.
func (a *account) check(out io.Writer, holds bool, what string) error {
	if !holds {
		return fmt.Errorf("this should hold, but does not: %s", what)
	}
	a.verified = append(a.verified, what)
	printf(out, "✓ %s\n", what)
	return nil
}

// show takes a vendor from its root credential to the end of a leased one.
func show(ctx context.Context, sh *shell, v vendor) (account, error) {
	a := account{vendor: v}
	printf(sh.out, "\n──── %s (vendor=%s) ────\n", v.product, v.name)
	if err := configure(ctx, sh, v); err != nil {
		return a, err
	}
	if err := readBack(ctx, sh, v, &a); err != nil {
		return a, err
	}
	leased, err := issue(ctx, sh, v, &a)
	if err != nil {
		return a, err
	}
	for _, step := range []func(context.Context, *shell, vendor, credential, *account) error{renew, revoke, tell} {
		if err := step(ctx, sh, v, leased, &a); err != nil {
			return a, err
		}
	}
	return a, nil
}

// configure writes the config and the role.
func configure(ctx context.Context, sh *shell, v vendor) error {
	state := sh.server.Emulator()
	at, ok := state.Vendors[v.name]
	if !ok {
		return errors.New("the emulator does not serve this vendor: run `make build`")
	}
	explain(sh, "Store the root credential, once. Vault logs in with it before it says yes.")
	arguments := words("write", sh.server.MountPath()+"/config/"+v.configName(), "vendor="+v.name, "address="+at.URL)
	if at.AuthURL != "" {
		arguments = append(arguments, words("auth_address="+at.AuthURL)...)
	}
	if state.CACertFile != "" {
		arguments = append(arguments, words("ca_cert=@"+state.CACertFile)...)
	}
	arguments = append(arguments, words(v.config...)...)
	for _, key := range slices.Sorted(maps.Keys(at.Credentials)) {
		arguments = append(arguments, argument{text: key + "=" + at.Credentials[key], secret: true})
	}
	if _, err := sh.run(ctx, arguments...); err != nil {
		return err
	}

	explain(sh, "A role says which config it draws on, and how long its credentials may live.")
	role := []string{"write", sh.server.MountPath() + "/roles/" + v.roleName(), "config=" + v.configName()}
	_, err := sh.run(ctx, words(append(role, v.role...)...)...)
	return err
}

// readBack shows that the root credential never comes back.
func readBack(ctx context.Context, sh *shell, v vendor, a *account) error {
	explain(sh, "What was stored can be read, but for the secrets.")
	said, err := sh.run(ctx, words("read", sh.server.MountPath()+"/config/"+v.configName())...)
	if err != nil {
		return err
	}
	for key, value := range sh.server.Emulator().Vendors[v.name].Credentials {
		// A user name or a key's id is no secret.
		if secretField(key) && strings.Contains(said.results+said.warnings, value) {
			return fmt.Errorf("reading the config gives away its %s", key)
		}
	}
	return a.check(sh.out, true, "reading the config shows no secret of the root credential")
}

// secretField tells whether a config field of a root credential is a secret, by its name.
func secretField(key string) bool {
	return !slices.Contains([]string{"username", "key_id", "client_id"}, key)
}

// issue leases a credential and uses it.
func issue(ctx context.Context, sh *shell, v vendor, a *account) (credential, error) {
	earlier, err := sh.server.Control().Credentials(ctx, v.name)
	if err != nil {
		return credential{}, err
	}
	a.earlier = len(earlier)
	explain(sh, "An application asks for a credential, and gets one of its own, under a lease.")
	said, err := sh.run(ctx, words("read", sh.server.MountPath()+"/creds/"+v.roleName())...)
	if err != nil {
		return credential{}, err
	}
	c := credential{fields: parseTable(said.results)}
	c.leaseID = c.fields["lease_id"]
	if c.leaseID == "" || c.fields["token"] == "" || c.fields["expires_at"] == "" {
		return c, errors.New("the answer has no lease_id, token or expires_at")
	}
	a.issued++
	if err := a.check(sh.out, c.fields["lease_renewable"] == fmt.Sprint(v.renewable), fmt.Sprintf("the lease says lease_renewable=%t", v.renewable)); err != nil {
		return c, err
	}
	if !v.revocable {
		if err := a.check(sh.out, strings.Contains(said.warnings, "WARNING"), "the answer warns that revoking the lease will not end the token"); err != nil {
			return c, err
		}
	}
	explain(sh, "The vendor takes it.")
	return c, use(ctx, sh, v, c, a, true, "the vendor accepts the credential")
}

// use calls the vendor with the credential, and verifies whether it was accepted.
func use(ctx context.Context, sh *shell, v vendor, c credential, a *account, wanted bool, what string) error {
	client, err := trusting(sh.server.Emulator())
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	request, err := v.request(ctx, c)
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
	verdict := "refused"
	if v.accepted(response.StatusCode, body) {
		verdict = "accepted"
	}
	printf(sh.out, "%s %s with the credential: %s, %s\n", request.Method, request.URL, response.Status, verdict)
	return a.check(sh.out, v.accepted(response.StatusCode, body) == wanted, what)
}

// trusting returns a client that trusts the emulator's authority and nobody else.
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

// renew prolongs the lease, or shows that it can't be.
func renew(ctx context.Context, sh *shell, v vendor, c credential, a *account) error {
	if v.renewable {
		explain(sh, "The application still needs it, and renews the lease.")
	} else {
		explain(sh, "This vendor has no way to prolong a credential, so the lease can't be renewed.")
	}
	_, err := sh.run(ctx, words("lease", "renew", c.leaseID)...)
	if !v.renewable {
		if err != nil && !errors.Is(err, errCommand) {
			return err
		}
		return a.check(sh.out, errors.Is(err, errCommand), "the renewal is refused")
	}
	if err != nil {
		return err
	}
	a.renewed++
	return use(ctx, sh, v, c, a, true, "the credential works after the renewal")
}

// revoke ends the lease, and the credential with it where the vendor lets it.
func revoke(ctx context.Context, sh *shell, v vendor, c credential, a *account) error {
	explain(sh, "The application is done, or somebody wants it stopped: the lease is revoked.")
	if _, err := sh.run(ctx, words("lease", "revoke", "-sync", c.leaseID)...); err != nil {
		return err
	}
	if v.revocable {
		a.revoked++
		explain(sh, "The credential is dead at the vendor, too.")
		return use(ctx, sh, v, c, a, false, "the vendor refuses the revoked credential")
	}
	explain(sh, "This vendor has no way to revoke a credential. The lease is gone, and the token works on until it expires: the warning above said so.")
	if err := use(ctx, sh, v, c, a, true, "the token outlives its lease, as the warning said"); err != nil {
		return err
	}
	explain(sh, fmt.Sprintf("That is why its life is short. The emulator's clock is moved on by %s.", v.life))
	if err := sh.server.Control().Advance(ctx, v.life+time.Minute); err != nil {
		return err
	}
	return use(ctx, sh, v, c, a, false, "the vendor refuses the expired token")
}

// tell shows what the vendor has to say about all this.
func tell(ctx context.Context, sh *shell, v vendor, _ credential, a *account) error {
	explain(sh, "What the vendor saw:")
	credentials, err := sh.server.Control().Credentials(ctx, v.name)
	if err != nil {
		return err
	}
	leased, endedBy := 0, "expired"
	if v.revocable {
		endedBy = "revoked"
	}
	asItShould := true
	for i, c := range credentials {
		fate := "live"
		if !c.Live {
			fate = c.EndedBy + " " + c.EndedAt.UTC().Format(time.TimeOnly)
		}
		holder := "the lease"
		switch {
		case c.Kind != "leased":
			holder = "the engine's own session"
		case i < a.earlier:
			holder = "the check of the config"
		default:
			leased++
			asItShould = asItShould && !c.Live && c.EndedBy == endedBy
		}
		printf(sh.out, "%s\n", strings.TrimSpace(fmt.Sprintf("%-24s  issued %s  %-16s  %s",
			holder, c.IssuedAt.UTC().Format(time.TimeOnly), fate, c.Marker)))
	}
	return a.check(sh.out, leased == a.issued && asItShould,
		fmt.Sprintf("the vendor issued %d credential for the lease, and it is %s", a.issued, endedBy))
}

// explain prints the sentence before a step.
func explain(sh *shell, sentence string) { printf(sh.out, "\n# %s\n", sentence) }

// summarise prints what was done in all.
func summarise(out io.Writer, accounts []account, took time.Duration) {
	printf(out, "\n──── Summary ────\n\n%-14s %6s %7s %7s %8s\n", "vendor", "issued", "renewed", "revoked", "verified")
	for _, a := range accounts {
		note := ""
		switch {
		case !a.vendor.revocable && !a.vendor.renewable:
			note = "  its API neither renews nor revokes: short-lived instead"
		case !a.vendor.revocable:
			note = "  its API does not revoke: short-lived instead"
		case !a.vendor.renewable:
			note = "  its API does not renew"
		}
		printf(out, "%-14s %6d %7d %7d %8d%s\n", a.vendor.name, a.issued, a.renewed, a.revoked, len(a.verified), note)
	}
	printf(out, "\nEverything held. It took %s; all that was started is stopped again.\n", took.Round(time.Second))
}
