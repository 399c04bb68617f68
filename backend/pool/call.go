package pool

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Names of operations at a vendor, as they appear in metrics.
const (
	OperationIssue  = "issue"
	OperationRenew  = "renew"
	OperationRevoke = "revoke"
	OperationCheck  = "check"
	OperationList   = "list"
	OperationRotate = "rotate"
	OperationProbe  = "probe"
)

const (
	// maxIssueBackoff bounds the Retry-After of an issue, and maxBackoff that of all other operations. A vendor
	// that asks for more is asked once after that time.
	maxIssueBackoff = 10 * time.Minute
	maxBackoff      = time.Minute
)

// Call makes a call on behalf of a credential. Every such call goes through it. It refuses with
// provider.ErrNotSent in the chain while the vendor's Retry-After for the operation lasts, or its breaker is open,
// turns a panic of the driver into an error, and counts the call. The breakers of hosts and the rate limit apply
// to each request within the call.
func (p *Pool) Call(ctx context.Context, conn *Conn, vendor, operation string, call func(context.Context) error) error {
	if err := conn.backoffErr(operation, p.options.Clock.Now()); err != nil && !isProbe(ctx) {
		p.Metrics.CountRejection(conn.config, vendor, operation, provider.ClassOf(err))
		return err
	}
	done, err := conn.operations.admit(ctx, operation)
	if err != nil {
		p.Metrics.CountRejection(conn.config, vendor, operation, provider.ClassOf(err))
		return err
	}
	began := p.options.Clock.Now()
	_, err = provider.CatchPanic(vendor+": "+operation, func() (struct{}, error) {
		return struct{}{}, call(withConn(withOperation(ctx, operation), conn))
	})
	done(err)
	now := p.options.Clock.Now()
	if errors.Is(err, provider.ErrNotSent) {
		p.Metrics.CountRejection(conn.config, vendor, operation, provider.ClassOf(err))
	} else {
		p.Metrics.ObserveCall(conn.config, vendor, operation, now.Sub(began), err)
	}
	provider.LogPanic(p.options.Logger(), err, "a driver panicked", "vendor", vendor, "operation", operation)
	if err == nil && isProbe(ctx) {
		conn.lift()
	}
	conn.observe(operation, err, now)
	p.observeRoot(conn.root, operation, err, now)
	return err
}

// Refusal returns the error that Call would return now without sending a request, as far as that is known
// from the last call of the operation: the vendor's Retry-After lasts, the root credential is rejected, or the
// breaker of the host is open. It saves the storage writes of a call that cannot succeed.
func (p *Pool) Refusal(conn *Conn, operation string) error {
	now := p.options.Clock.Now()
	if err := conn.backoffErr(operation, now); err != nil {
		return err
	}
	if err := conn.operations.err(operation); err != nil {
		return err
	}
	return conn.blockedErr(operation, p.breakers, now)
}

// Check makes a real login with a config's stored root credential. It is a call like others: only when an operator
// asks for it (see [WithProbe]), it is made although a breaker is open or a Retry-After lasts, and a success lifts
// both. A root credential that the vendor has rejected is not sent again before its pause ends.
func (p *Pool) Check(ctx context.Context, conn *Conn, vendor string) (checked *provider.CheckResult, err error) {
	err = p.Call(ctx, conn, vendor, OperationCheck, func(ctx context.Context) (err error) {
		checked, err = p.verifyRoot(ctx, conn.root, conn.account, conn.config, conn)
		return err
	})
	return checked, err
}

// VerifyNewRoot makes a real login with a root credential that an operator writes to a config, and that is not stored
// yet. After several rejected root credentials of the same account it refuses, since one more may lock the account.
func (p *Pool) VerifyNewRoot(ctx context.Context, name string, entry *store.Config, conn provider.Connection) (*provider.CheckResult, error) {
	account := p.auth.accountOf(entry)
	if err := p.auth.checkAccount(account); err != nil {
		return nil, err
	}
	checked, err := p.verifyRoot(WithProbe(ctx), p.auth.rootOf(entry), account, name, conn)
	if provider.ClassOf(err) == provider.ClassUnauthenticated && !errors.Is(err, provider.ErrNotSent) {
		p.auth.recordRejection(account)
	}
	return checked, err
}

// VerifyStoredRoot makes a real login with the stored root credential of a config over another connection than the
// present one, because an operator changes how the vendor is reached. It is no further root credential of the account:
// only its own rejection keeps it from being sent.
func (p *Pool) VerifyStoredRoot(ctx context.Context, name string, entry *store.Config, conn provider.Connection) (*provider.CheckResult, error) {
	return p.verifyRoot(WithProbe(ctx), p.auth.rootOf(entry), p.auth.accountOf(entry), name, conn)
}

// VerifyCandidate makes a real login with a root credential that the vendor may have changed to. The change may arrive
// late, so that a candidate which was rejected once is sent again at once, and after each further rejection with a
// growing pause.
func (p *Pool) VerifyCandidate(ctx context.Context, name string, entry *store.Config, conn provider.Connection) (*provider.CheckResult, error) {
	root := p.auth.rootOf(entry)
	p.auth.backoff(root, 0, 0).RetryOnce(p.options.Clock.Now())
	return p.verifyRoot(ctx, root, p.auth.accountOf(entry), name, conn)
}

// ForgetRejections forgets that the vendor has rejected a config's root credential, because it is asked to change to
// it: earlier rejections say nothing about it any more.
func (p *Pool) ForgetRejections(entry *store.Config) {
	p.auth.backoff(p.auth.rootOf(entry), 0, 0).Reset()
}

// RootID identifies the root credential of a config, without holding it, for as long as the pool exists. It does not
// change with the config's other settings.
func (p *Pool) RootID(entry *store.Config) string {
	root := p.auth.rootOf(entry)
	return hex.EncodeToString(root[:])
}

// verifyRoot makes a real login, unless the root credential was rejected a short time ago. A success forgets what was
// rejected of the root credential and of the account: the vendor counts wrong passwords from zero then.
func (p *Pool) verifyRoot(ctx context.Context, root, account rootKey, config string, conn provider.Connection) (*provider.CheckResult, error) {
	rejected := p.auth.backoff(root, 0, 0).For(config)
	if err := rejected.Err(p.options.Clock.Now()); err != nil {
		return nil, err
	}
	checked, err := provider.CatchPanic("check", func() (*provider.CheckResult, error) { return conn.Check(ctx) })
	if checked != nil {
		checked.Clean()
	}
	p.observeRoot(root, OperationCheck, err, p.options.Clock.Now())
	if err == nil {
		rejected.Reset()
		p.auth.forgetRejections(account)
		p.auth.setExpiry(root, checked.RootExpiresAt)
	} else if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Class == provider.ClassUnauthenticated && !errors.Is(err, provider.ErrNotSent) {
		rejected.Observe(failure, p.options.Clock.Now())
	}
	return checked, err
}
