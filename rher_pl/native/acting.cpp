// What a policy does in a few states: the inputs of policy.py and relay.py, and the actor. In float32.

extern "C" {

// Where the numbers of an input come from.
struct Encoding {
    int32_t observation, points, desired, relative, subtasks;
    int32_t observed, goals;  // how many of an observation and of a goal are picked
    const int64_t *observed_columns, *goal_columns;
    const int64_t* source;  // [subtasks, points]: columns of [padding | desired goals | positions]
    const float *shift, *scale;
    float clip;
};

struct States {
    const float *observation, *achieved, *desired;
    const int64_t* subtask;
};

}  // extern "C"

namespace {

struct Acting {
    Arena arena;
    Passes<Full> passes;
    Net<Full> actor;
    Layers<Full> h;

    Acting(const Sizes& s, char* base, Network actor)
        : arena{base}, passes(s, arena), actor(arena, s, actor, 0, s.inputs, s.actions),
          h(make_layers<Full>(arena, s, Purpose::PASS)) {}
};

// A goal as relay.py encodes it: a position for each point, then, if asked for, the way from there to
// each that is in use, and where the objects are from the gripper.
void encode_goal(const Encoding& e, const States& states, int row, std::vector<float>& goal) {
    const float* achieved = states.achieved + int64_t(row) * e.points * 3;
    const float* desired = states.desired + int64_t(row) * e.desired * 3;
    const int64_t* source = e.source + states.subtask[row] * e.points;
    goal.clear();
    for (int p = 0; p < e.points; ++p) {
        const int64_t column = std::max(source[p] - 1, int64_t(0));
        const float* from = column < e.desired ? desired + 3 * column
                                               : achieved + 3 * (column - e.desired);
        for (int k = 0; k < 3; ++k) goal.push_back(source[p] > 0 ? from[k] : 0.0f);
    }
    if (!e.relative) return;
    for (int i = 0; i < 3 * e.points; ++i)
        goal.push_back(source[i / 3] > 0 ? goal[i] - achieved[i] : 0.0f);
    for (int i = 3; i < 3 * e.points; ++i) goal.push_back(achieved[i] - achieved[i % 3]);
}

void encode(const Encoding& e, const States& states, int row, std::vector<float>& goal, float* to) {
    const float* observation = states.observation + int64_t(row) * e.observation;
    encode_goal(e, states, row, goal);
    float* at = to;
    for (int i = 0; i < e.observed; ++i) *at++ = observation[e.observed_columns[i]];
    for (int i = 0; i < e.goals; ++i) *at++ = goal[e.goal_columns[i]];
    for (int i = 0; i < e.observed + e.goals; ++i) to[i] -= e.shift[i];
    at = std::copy(goal.begin() + 3 * e.points, goal.end(), at);
    for (int s = 0; s < e.subtasks; ++s) *at++ = s == states.subtask[row];
    for (float* value = to; value < at; ++value)
        *value = std::clamp(*value * e.scale[value - to], -e.clip, e.clip);
}

}  // namespace

extern "C" {

// Bytes of scratch, aligned to 64, for a batch of states.
int64_t acting_scratch_size(const Sizes* s) {
    return Acting(*s, nullptr, nullptr).arena.used + BEYOND;
}

// To be called when there is new scratch, or weights have changed.
void prepare_acting(const Sizes* s, Network actor, char* scratch) {
    Acting(*s, scratch, actor).actor.prepare(false, Thread{0, 1});
}

// Actions [batch, actions]; `inputs` has room for [batch, inputs].
void act(const Sizes* s, const Encoding* encoding, const States* states, Network actor,
         char* scratch, float* inputs, float* actions) {
    const Acting acting(*s, scratch, actor);
    std::vector<float> goal;
    for (int r = 0; r < s->batch; ++r)
        encode(*encoding, *states, r, goal, inputs + int64_t(r) * s->inputs);
    const Passes<Full>& passes = acting.passes;
    const Range all{0, passes.rows};
    float* buffer = passes.buffer(Thread{0, 1});
    passes.load(all, inputs, nullptr, passes.inputs, buffer);
    passes.act(all, acting.actor, passes.inputs, acting.h, buffer);
    std::memcpy(actions, passes.action, sizeof(float) * s->batch * s->actions);
}

}  // extern "C"
