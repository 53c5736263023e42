package evidence

// Window is the exposure window of a release: how many requests of the canary may be under way that nobody has
// judged yet. It starts small and doubles after each clean round, so a version that fails or hangs at once
// costs a handful of requests instead of all that arrive within one timeout.
//
// A router asks [Window.Open] before it draws: while the window is shut the canary's weight is 0, for everybody.
// That depends on the past alone, so the evidence stays valid. The zero value is a window of 4.
// A Window is a plain value and not safe for concurrent use.
type Window struct {
	size     int // 0 means firstWindow
	flying   int
	clean    int // requests that ended well in this round
	unjudged int // failures since the last verdict
}

const (
	firstWindow = 4
	lastWindow  = 1 << 16 // from here on nothing is held back
)

// Size returns how many requests of the canary may be unjudged.
func (w *Window) Size() int { return max(w.size, firstWindow) }

// Open reports whether a request may go to the canary.
func (w *Window) Open() bool {
	return w.Size() >= lastWindow || w.flying+w.unjudged < w.Size()
}

// Start notes that a request went to the canary.
func (w *Window) Start() { w.flying++ }

// End notes that a request of the canary has ended. A round is clean when as many requests as the window
// is wide have ended well in a row; a failure starts it again and stays unjudged until [Window.Judged].
func (w *Window) End(failed bool) {
	w.flying = max(0, w.flying-1)
	if failed {
		w.clean = 0
		w.unjudged++
		return
	}
	w.clean++
	if w.clean >= w.Size() {
		w.size, w.clean = min(2*w.Size(), lastWindow), 0
	}
}

// Judged notes that all failures that have ended are in the evidence and that the verdict is not [Worse].
func (w *Window) Judged() { w.unjudged = 0 }
