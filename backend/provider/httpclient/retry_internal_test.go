package httpclient

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// answerAfter returns an answer with this status and Retry-After. Empty stands for no such header.
func answerAfter(status int, retryAfter string) *http.Response {
	answer := &http.Response{StatusCode: status, Header: http.Header{}}
	if retryAfter != "" {
		answer.Header.Set("Retry-After", retryAfter)
	}
	return answer
}

func TestNew_Waits_HaveDefaults(t *testing.T) {
	for _, test := range []struct{ timeout, wait, wantTimeout, wantWait time.Duration }{
		{0, 0, defaultRequestTimeout, defaultRetryWait},
		{-1, -1, defaultRequestTimeout, defaultRetryWait},
		{time.Nanosecond, time.Nanosecond, time.Nanosecond, time.Nanosecond},
	} {
		client, err := New(Options{
			Address: "127.0.0.1:1", RequestTimeout: test.timeout, RetryWait: test.wait,
			AllowAddresses: provider.AddressRanges{netip.MustParsePrefix("127.0.0.0/8")},
		})
		require.NoError(t, err)
		client.Close()
		require.Equal(t, test.wantTimeout, client.options.RequestTimeout)
		require.Equal(t, test.wantWait, client.options.RetryWait)
	}
}

func TestCheckRetry_Answers_DecideByStatusAndWait(t *testing.T) {
	client := &Client{options: Options{Clock: provider.SystemClock{}}}
	for name, test := range map[string]struct {
		answer *http.Response
		err    error
		again  bool
	}{
		"429":                   {answerAfter(http.StatusTooManyRequests, ""), nil, true},
		"502":                   {answerAfter(http.StatusBadGateway, ""), nil, true},
		"503":                   {answerAfter(http.StatusServiceUnavailable, ""), nil, true},
		"504":                   {answerAfter(http.StatusGatewayTimeout, ""), nil, true},
		"500":                   {answerAfter(http.StatusInternalServerError, ""), nil, false},
		"200":                   {answerAfter(http.StatusOK, ""), nil, false},
		"503, the longest wait": {answerAfter(http.StatusServiceUnavailable, "5"), nil, true},
		"503, a longer wait":    {answerAfter(http.StatusServiceUnavailable, "6"), nil, false},
		"no answer":             {nil, errors.New("the connection was closed"), true},
		"nothing was sent":      {nil, provider.ErrNotSent, false},
	} {
		t.Run(name, func(t *testing.T) {
			again, err := client.checkRetry(t.Context(), test.answer, test.err)
			require.NoError(t, err)
			require.Equal(t, test.again, again)
		})
	}
}

func TestBackoff_Answers_SayHowLong(t *testing.T) {
	client := &Client{options: Options{Clock: provider.SystemClock{}}}
	for name, test := range map[string]struct {
		answer  *http.Response
		attempt int
		want    time.Duration
	}{
		"no answer":           {nil, 0, time.Second},
		"no answer again":     {nil, 1, 2 * time.Second},
		"no answer once more": {nil, 5, 4 * time.Second},
		"without Retry-After": {answerAfter(http.StatusServiceUnavailable, ""), 1, 2 * time.Second},
		"Retry-After 0":       {answerAfter(http.StatusServiceUnavailable, "0"), 1, 2 * time.Second},
		"Retry-After of 3 s":  {answerAfter(http.StatusServiceUnavailable, "3"), 1, 3 * time.Second},
		"a malformed one":     {answerAfter(http.StatusServiceUnavailable, "soon"), 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, client.backoff(time.Second, 4*time.Second, test.attempt, test.answer))
		})
	}
}
