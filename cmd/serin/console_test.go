package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const (
	axeCore = "../../internal/console/testdata/npm/node_modules/axe-core/axe.min.js"
	// shotsVariable names a directory for screenshots of every page.
	shotsVariable = "SERIN_SCREENSHOTS"
)

// browser is a Chromium with one page of the console.
type browser struct {
	tb  testing.TB
	ctx context.Context
	at  string // endpoint
	axe string

	mu        sync.Mutex
	complaint []string // what the page said on its console
	elsewhere []string // requests to other hosts
}

func openBrowser(tb testing.TB, endpoint string) *browser {
	tb.Helper()
	needs(tb, "chromium")
	path, err := exec.LookPath("chromium")
	if err != nil {
		tb.Fatal(err)
	}
	axe, err := os.ReadFile(axeCore)
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("SERIN_TEST_STRICT") != "" {
			tb.Fatal("axe-core is not installed: npm ci --prefix internal/console/testdata/npm")
		}
		tb.Skip("axe-core is not installed: npm ci --prefix internal/console/testdata/npm")
	}
	// Tests run as root in containers, where Chromium's own sandbox cannot; what they open is this server.
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.ExecPath(path))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	tb.Cleanup(cancel)
	b := &browser{tb: tb, ctx: ctx, at: endpoint, axe: string(axe)}
	b.do(chromedp.EmulateViewport(1280, 900))
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		tb.Fatal(err)
	}
	host, err := url.Parse(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			to, err := url.Parse(e.Request.URL)
			if err == nil && (to.Scheme == "http" || to.Scheme == "https" || to.Scheme == "ws") && to.Host != host.Host {
				b.mu.Lock()
				b.elsewhere = append(b.elsewhere, e.Request.URL)
				b.mu.Unlock()
			}
		}
	}); err != nil {
		tb.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.complaint = append(b.complaint, fmt.Sprintf("%s: %s", m.Type, m.Text))
			b.mu.Unlock()
		}
	}()
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if len(steps) > 0 && chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first use opens the browser, which lives as long as this context
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.tb.Fatalf("%v\n%s", err, b.text())
	}
}

func (b *browser) open(path string) {
	b.tb.Helper()
	b.do(chromedp.Navigate(b.at + path))
}

// text is what the page says, for messages.
func (b *browser) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	return text
}

// until waits until an expression is true on the page, also if another page takes its place meanwhile.
func (b *browser) until(expression string) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 40*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && is {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.tb.Fatalf("never true: %s\n%s", expression, b.text())
		}
	}
}

// shows waits until the page says something.
func (b *browser) shows(text string) {
	b.tb.Helper()
	quoted, _ := json.Marshal(text) // a string
	b.until(fmt.Sprintf("document.body.innerText.includes(%s)", quoted))
}

func evaluate[T any](b *browser, expression string) T {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.tb.Fatalf("%s: %v", expression, err)
	}
	return v
}

// inspect holds the page to WCAG AA in light and dark, and takes its picture if pictures are wanted.
func (b *browser) inspect(name string) {
	b.tb.Helper()
	for _, scheme := range []string{"light", "dark"} {
		params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
			b.tb.Fatal(err)
		}
		violations := evaluate[[]string](b, b.axe+`
			;axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 200) + " " + n.failureSummary).join(" | ")))`)
		for _, v := range violations {
			b.tb.Errorf("%s, %s: %s", name, scheme, v)
		}
		if dir := os.Getenv(shotsVariable); dir != "" {
			b.picture(dir, name+"-"+scheme)
		}
	}
}

func (b *browser) picture(dir, name string) {
	b.tb.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.tb.Error(err)
	}
}

// quiet wants that the page has complained of nothing but what is expected, and asked nobody else.
func (b *browser) quiet(expected ...string) {
	b.tb.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.complaint {
		if !slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(text, e) }) {
			b.tb.Errorf("on the console: %s", text)
		}
	}
	for _, to := range b.elsewhere {
		b.tb.Errorf("a request to another host: %s", to)
	}
}

// traffic invokes an alias until it is stopped.
func (b *built) traffic(qualifier string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client := b.lambda()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			tick := time.NewTicker(15 * time.Millisecond)
			defer tick.Stop()
			for {
				// Functions fail here on purpose, and the end of the test ends calls.
				_, _ = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("shop"), Qualifier: &qualifier, Payload: []byte("{}")})
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.tb.Cleanup(stop)
	return stop
}

// The walk of an engineer with nothing but a browser: log in, create a function, publish, make an alias, shift traffic by the
// slider and watch it move, release a version that fails and see the engine put the old one back, roll back by the button,
// and read all of it in the history. Every page is held to WCAG AA in light and dark.
func TestConsoleWalk(t *testing.T) {
	needs(t, "python3", "chromium")
	b := build(t)
	b.serve()
	writeZip(t, filepath.Join(b.dir, "good.zip"), "app.py", "def handler(event, context):\n    return {\"version\": context.function_version}\n")
	writeZip(t, filepath.Join(b.dir, "bad.zip"), "app.py", "import random\ndef handler(event, context):\n    if random.random() < 0.4: raise KeyError('tenant <b>')\n    return {}\n")
	page := openBrowser(t, b.Endpoint)

	// Log in: with the key, then with a link that works once.
	page.open("/console/")
	page.shows("Secret access key")
	page.inspect("login")
	page.do(chromedp.SendKeys("input[name=key]", b.AccessKeyID), chromedp.SendKeys("input[name=secret]", b.SecretAccessKey), chromedp.Click("button[type=submit]"))
	page.shows("Ship the first function")
	page.inspect("empty")
	page.do(chromedp.Click(".menu summary"), chromedp.Click("form[action='/console/logout'] button"))
	page.shows("Secret access key")
	cmd := exec.CommandContext(t.Context(), b.binary, "console", "--data", filepath.Join(b.dir, "data"))
	cmd.Env = append(os.Environ(), "SERIN_ACTOR=ana")
	link, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	page.do(chromedp.Navigate(strings.TrimSpace(string(link))))
	page.shows("Ship the first function")
	page.shows("ana with key root")

	// Upload, publish, alias.
	page.open("/console/new")
	page.inspect("new")
	page.do(
		chromedp.SendKeys("input[name=name]", "shop"), chromedp.SetValue("input[name=runtime]", "python3.11"), chromedp.SetValue("input[name=handler]", "app.handler"),
		chromedp.SetUploadFiles("input[type=file]", []string{filepath.Join(b.dir, "good.zip")}), chromedp.Click("main button.primary"),
	)
	page.shows("No alias yet")
	publish := func(zip, description string) {
		page.open("/console/functions/shop/configuration")
		page.do(
			chromedp.SetUploadFiles("input[type=file]", []string{filepath.Join(b.dir, zip)}), chromedp.Click("input[name=publish]"),
			chromedp.SendKeys("form[enctype] input[name=description]", description), chromedp.Click("form[enctype] button[type=submit]"),
		)
		page.shows(description)
	}
	publish("good.zip", "the first")
	publish("good.zip", "the second")
	page.open("/console/functions/shop/configuration")
	page.inspect("configuration")
	page.open("/console/functions/shop")
	page.do(chromedp.Click("#aliases a.primary"), chromedp.SetValue("#dialog select[name=version]", "1"), chromedp.Click("#dialog button.primary"))
	page.shows("Callers of shop:live get v1 100 %")
	page.do(chromedp.Click("#dialog button.primary"))
	page.until(`document.querySelector("#alias-live strong")?.textContent === "100 %"`)

	// Canary by slider; the split that is seen follows the one that is set, while the page is open.
	stop := b.traffic("live")
	page.do(chromedp.Click("#alias-live .more"), chromedp.SetValue("#dialog select[name=additional]", "2"))
	evaluate[bool](page, `(() => { const s = document.querySelector("#dialog [data-slider]"); s.form.elements.additional.dispatchEvent(new Event("input", {bubbles: true})); s.value = 25; s.dispatchEvent(new Event("input", {bubbles: true})); return true; })()`)
	page.until(`JSON.parse(document.querySelector("#dialog textarea").value).Properties.RoutingConfig.AdditionalVersionWeights[0].FunctionWeight === 0.25`)
	page.inspect("alias-form")
	page.do(chromedp.Click("#dialog button.primary"))
	page.shows("get v1 75 %, v2 25 %")
	page.inspect("alias-review")
	page.do(chromedp.Click("#dialog button.primary"))
	page.until(`/seen v1 \d+(\.\d+)? %, v2 [1-9]/.test(document.getElementById("alias-live").innerText) && Number(document.querySelector("#alias-live").innerText.match(/of ([\d,]+) requests/)?.[1].replace(",", "")) > 100`)
	page.inspect("function-split")
	page.do(chromedp.Click("#alias-live .more"), chromedp.SetValue("#dialog select[name=additional]", ""), chromedp.SetValue("#dialog select[name=version]", "2"), chromedp.Click("#dialog button.primary"))
	page.shows("get v2 100 %")
	page.do(chromedp.Click("#dialog button.primary"))
	page.until(`!document.querySelector("dialog[open]") && document.querySelectorAll("#alias-live .split").length === 1`)

	// A version that fails is put back by the engine while somebody looks.
	publish("bad.zip", "the third fails")
	page.do(chromedp.Click("[data-key=s]"), chromedp.SetValue("#dialog select[name=version]", "3"), chromedp.SetValue("#dialog input[name=steps]", "20, 100"))
	page.inspect("ship-form")
	page.do(chromedp.Click("#dialog button.primary"))
	page.shows("If it is worse, v2 comes back by itself")
	page.do(chromedp.Click("#dialog button.primary"))
	page.until(`location.pathname.startsWith("/console/releases/") && document.querySelector(".charts")`)
	page.shows("rolled back")
	page.shows("KeyError")
	page.shows("tenant <b>") // as text
	page.inspect("release")
	page.open("/console/functions/shop")
	page.until(`document.querySelector("#alias-live .split").innerText.startsWith("v2")`)

	// By hand: one key, one button.
	page.do(chromedp.KeyEvent("r"))
	page.shows("What it will not undo")
	page.inspect("rollback")
	page.do(chromedp.SendKeys("#dialog input[name=reason]", "because"), chromedp.Click("#dialog button.danger"))
	page.until(`document.querySelector("#alias-live .split").innerText.startsWith("v1") && !document.querySelector("dialog[open]")`)
	stop()
	for _, text := range []string{"because", "version 3 fails more than version 2", "uploaded", "published", "by ana with key root"} {
		page.shows(text)
	}
	page.inspect("function")
	page.open("/console/")
	page.shows("python3.11")
	page.inspect("functions")
	page.open("/console/functions/shop/test?qualifier=live")
	page.do(chromedp.Click("button[value=invoke]"))
	page.shows("succeeded")
	page.inspect("test")
	page.open("/console/functions/shop/compare?from=1&to=3")
	page.inspect("compare")
	page.open("/console/settings")
	page.inspect("settings")
	page.open("/console/nothing")
	page.inspect("error")
	page.open("/console/functions/shop/logs?over=1h")
	page.shows("START")
	page.inspect("logs")
	page.open("/console/alarms")
	page.inspect("alarms")
	page.do(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	page.open("/console/functions/shop")
	page.shows("Versions")
	if wide := evaluate[int](page, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		t.Errorf("on a phone the page is %d pixels too wide", wide)
	}
	page.inspect("phone-function")
	page.open("/console/")
	page.inspect("phone-functions")
	page.quiet("404") // the page that there is not
}

// How soon the page of a function with a thousand versions is painted, and what a first visit loads.
func TestConsoleFirstPaint(t *testing.T) {
	needs(t, "python3", "chromium")
	b := build(t)
	b.serve()
	writeZip(t, filepath.Join(b.dir, "code.zip"), "app.py", "def handler(event, context):\n    return {}\n")
	b.versions(1000)
	page := openBrowser(t, b.Endpoint)
	page.open("/console/")
	page.do(chromedp.SendKeys("input[name=key]", b.AccessKeyID), chromedp.SendKeys("input[name=secret]", b.SecretAccessKey), chromedp.Click("button[type=submit]"))
	page.shows("Functions")
	for _, path := range []string{"/console/functions/shop", "/console/functions/shop?versions=all"} {
		var paints []float64
		for range 5 {
			page.open(path)
			page.until(`performance.getEntriesByName("first-contentful-paint").length > 0`)
			paints = append(paints, evaluate[float64](page, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))
		}
		slices.Sort(paints)
		weight := evaluate[float64](page, `(performance.getEntriesByType("navigation")[0].encodedBodySize + performance.getEntriesByType("resource").reduce((n, r) => n + r.encodedBodySize, 0)) / 1000`)
		t.Logf("%s: first paint after %.0f ms (median of 5, worst %.0f ms), %.0f kB compressed", path, paints[2], paints[4], weight)
		if weight > 200 {
			t.Errorf("%s weighs %.0f kB compressed, over 200", path, weight)
		}
	}
}

// versions makes the function shop with so many versions and an alias.
func (b *built) versions(n int) {
	b.tb.Helper()
	client := b.lambda()
	code, err := os.ReadFile(filepath.Join(b.dir, "code.zip"))
	if err != nil {
		b.tb.Fatal(err)
	}
	ctx := b.tb.Context()
	_, err = client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("shop"), Runtime: types.RuntimePython312, Handler: aws.String("app.handler"), Role: aws.String("arn:aws:iam::000000000000:role/r"),
		Code: &types.FunctionCode{ZipFile: code},
	})
	for i := 0; i < n && err == nil; i++ {
		_, err = client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("shop"), Description: aws.String(fmt.Sprintf("change %d of the cart", i))})
		if err == nil {
			_, err = client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("shop")})
		}
	}
	if err == nil {
		_, err = client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	}
	if err != nil {
		b.tb.Fatal(err)
	}
}
